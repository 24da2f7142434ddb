"""What can be done with gifts: give credits, take back what is left at their end, serve a day.

A user's credits for one billing channel are one balance. What is spent of it is spent of the
credit that ends first; what was refunded to it is nobody's credit any more, and does not end.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.kit.money import Nanos, shown
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Entry, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.ledger.gifts import store
from meterway.ledger.gifts.errors import BadCreditError
from meterway.ledger.gifts.types import Credit

_DAY = 86_400
_LONGEST_NAME = 32


async def give_credit(  # noqa: PLR0913 - the facts of one gift
    tx: AsyncConnection,
    user_id: int,
    billing: str,
    amount: Nanos,
    *,
    at: float,
    reference: str | None,
    reason: str = "",
    expires_at: float | None = None,
) -> int | None:
    """Give a user money for a billing channel alone, until a moment in seconds.

    Returns the entry's number, None where its `reference` was posted before. Raises
    `BadCreditError` and what `budgets.grant` raises.
    """
    if not 0 < len(billing) <= _LONGEST_NAME:
        raise BadCreditError(f"A billing channel's name has 1 to {_LONGEST_NAME} characters.")
    if expires_at is not None and expires_at <= at:
        raise BadCreditError("The credit would have ended already; name a later moment.")
    await books.lock(tx)
    account = Account(Kind.CREDIT, user_id, billing)
    before = (await books.balances(tx, [account]))[account]
    entry_id = await budgets.grant(
        tx,
        user_id,
        amount,
        Kind.CREDIT,
        at=at,
        reference=reference,
        reason=reason,
        billing=billing,
    )
    if entry_id is not None:
        await _count(tx, user_id, billing, before)
        await store.add(tx, user_id, billing, amount, expires_at)
    return entry_id


async def credits_of(connection: AsyncConnection, user_id: int) -> list[Credit]:
    """Return a user's credits in the order they were given; calls since may have spent of them."""
    return await store.of_user(connection, user_id)


async def expire(tx: AsyncConnection, *, at: float, most: int = 100) -> int:
    """Take back what is left of credits that have ended, by reversing entries; return how many.

    What workers hold of them is recalled; what returns, and calls did not spend, goes the next
    time.
    """
    await books.lock(tx)
    return sum(
        [await _expire(tx, user, billing, at) for user, billing in await store.ended(tx, at, most)]
    )


async def _expire(tx: AsyncConnection, user_id: int, billing: str, at: float) -> int:
    """Take back one user's ended credits for a channel; return how many went wholly."""
    account = Account(Kind.CREDIT, user_id, billing)
    balance = (await books.balances(tx, [account]))[account]
    credits_ = await _count(tx, user_id, billing, balance)
    ended = [one for one in credits_ if one.expires_at is not None and one.expires_at <= at]
    due = sum(one.left for one in ended)
    budget = Budget(BudgetKind.CREDIT, user_id, billing)
    free = await budgets.ask_back(tx, budget, due) if due else 0
    if free:
        postings = ((account, -free), (Account(Kind.PROMOTION), free))
        reason = f"credit of {billing} ended"
        await books.post(
            tx, Entry(kind="expiry", postings=postings, at=at, user_id=user_id, reason=reason)
        )
        await budgets.change_available(tx, budget, -free)
    left = _spent(reversed(ended), free)
    await store.leave(tx, left)
    return sum(not amount for amount in left.values())


async def _count(tx: AsyncConnection, user_id: int, billing: str, balance: Nanos) -> list[Credit]:
    """Take off credits what calls spent of them, given what is left of all; return them.

    The last to end comes first.
    """
    found = await store.of(tx, user_id, billing)
    rest = max(balance, 0)
    left: dict[int, Nanos] = {}
    for one in found:
        left[one.id] = min(one.left, rest)
        rest -= left[one.id]
    await store.leave(tx, left)
    return [msgspec.structs.replace(one, left=left[one.id]) for one in found if left[one.id]]


def _spent(ended: Iterable[Credit], amount: Nanos) -> dict[int, Nanos]:
    """Return what is left of credits once `amount` is taken of them in their order."""
    left: dict[int, Nanos] = {}
    for one in ended:
        part = min(one.left, amount)
        left[one.id] = one.left - part
        amount -= part
    return left


async def give_daily(tx: AsyncConnection, amount: Nanos, *, at: float, most: int = 100) -> int:
    """Fill the free money of prepaid users up to `amount`, each once a UTC day; return how many.

    Who has as much already gets nothing that day: what is left of a day's money is no more the
    next. `at` is in seconds.
    """
    day = int(at // _DAY)
    await books.lock(tx)
    users = await store.without_daily(tx, day, most)
    if not users:
        return 0
    pots = await books.pots(tx, users)
    for user_id in users:
        short = amount - max(pots[user_id].free, 0)
        if short > 0:
            await budgets.grant(
                tx,
                user_id,
                short,
                at=at,
                reference=f"daily:{user_id}:{day}",
                reason=f"free money up to {shown(amount)} USD a day",
            )
    await store.serve(tx, users, day)
    return len(users)
