"""What can be done with memberships: buy one, or more months of the one in effect."""

from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts import service as accounts
from meterway.accounts.errors import UserNotFoundError
from meterway.accounts.types import Tier, User
from meterway.kit.money import Nanos, shown
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Entry, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.errors import InsufficientBalanceError, InsufficientFundsError
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.memberships.errors import BalanceHeldError, OtherMembershipError, TierNotSoldError

MOST_MONTHS: Final = 36
"""How many months can be bought at once."""

_RETRY_AFTER = 3.0


async def buy(  # noqa: PLR0913 - the facts of one purchase
    tx: AsyncConnection,
    user_id: int,
    tier: Tier,
    months: int,
    prices: Mapping[Tier, Nanos],
    *,
    now: float,
) -> tuple[float, Nanos]:
    """Make a user a member for calendar months, paid from its own money at once.

    Months of the tier in effect come after its end. Returns the end, in seconds, and what was
    paid. Raises `TierNotSoldError`, `OtherMembershipError`, `InsufficientBalanceError` where the
    paid money is too little (free money buys none), `BalanceHeldError`, and `UserNotFoundError`.
    """
    price = prices.get(tier)
    if price is None:
        sold = ", ".join(sorted(prices)) or "none"
        raise TierNotSoldError(f"Membership {tier} is not for sale; sold here: {sold}.")
    await books.lock(tx)  # all who pay take their turns, whatever they read below
    await accounts.lock(tx, user_id)
    user = await accounts.by_id(tx, user_id)
    if user is None:
        raise UserNotFoundError(f"There is no user with the number {user_id}.")
    end = _later(_start(user, tier, now), months)
    cost = price * months
    if cost:
        await _pay(tx, user_id, cost, reason=f"{tier} membership, {months} months", at=now)
    await accounts.set_tier(tx, user_id, tier, end)
    return end, cost


def _start(user: User, tier: Tier, now: float) -> float:
    """Return when bought months begin. Raises `OtherMembershipError`."""
    current = user.tier_at(now)
    if current is Tier.NORMAL:
        return now
    if current is not tier:
        raise OtherMembershipError(
            f"You are {current} at the moment; buy more of it, or wait until it ends."
        )
    if user.tier_expires_at is None:
        raise OtherMembershipError(f"You are {current}, and that never ends.")
    return user.tier_expires_at


def _later(moment: float, months: int) -> float:
    """Return the moment some calendar months later; a day a month lacks is its last one."""
    begin = datetime.fromtimestamp(moment, UTC)
    years, month = divmod(begin.month - 1 + months, 12)
    year = begin.year + years
    day = min(begin.day, monthrange(year, month + 1)[1])
    return begin.replace(year=year, month=month + 1, day=day).timestamp()


async def _pay(tx: AsyncConnection, user_id: int, cost: Nanos, *, reason: str, at: float) -> None:
    """Move a user's own money to the house."""
    paid = (await books.pots(tx, [user_id]))[user_id].paid
    if paid < cost:
        raise InsufficientBalanceError(
            f"That costs {shown(cost)} USD, and the balance without free money is "
            f"{shown(max(paid, 0))} USD; top it up."
        )
    postings = ((Account(Kind.PAID, user_id), -cost), (Account(Kind.REVENUE), cost))
    entry = Entry(kind="membership", postings=postings, at=at, user_id=user_id, reason=reason)
    await books.post(tx, entry)
    try:
        await budgets.change_available(tx, Budget(BudgetKind.WALLET, user_id), -cost)
    except InsufficientFundsError:
        raise BalanceHeldError(
            "Calls under way hold a part of the balance; try again in a few seconds.",
            retry_after=_RETRY_AFTER,
        ) from None
