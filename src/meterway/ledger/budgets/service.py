"""What can be done with budgets: fill and empty them with their books, lease, spend, return.

Who writes takes its locks in the order that `ledger.books.service` tells: budgets after accounts,
leases after budgets, each by number. `reclaim` takes budgets, so it belongs before the first
`spent` of its transaction that concerns a living journal.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import versions
from meterway.kit.money import MOST, Nanos, shown
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Entry, Kind
from meterway.ledger.budgets import store
from meterway.ledger.budgets.errors import (
    BadPotError,
    InsufficientFundsError,
    LeaseOverdrawnError,
    NotYetPostedError,
    RefundTooLargeError,
)
from meterway.ledger.budgets.types import Budget, BudgetKind, Refundable, Share, Want

RECALLS: Final = "recalls"
"""The version that moves when somebody waits for what others hold."""

_SOURCES = {Kind.FREE: Kind.PROMOTION, Kind.CREDIT: Kind.PROMOTION, Kind.PAID: Kind.CASH}
_BACK = (Kind.PAID, Kind.FREE, Kind.CREDIT, Kind.DUE)  # what was spent last returns first
_TOLD = 20
_RETRY_AFTER = 2.0


# -- money with its books -------------------------------------------------------------------------


async def top_up(  # noqa: PLR0913 - the facts of one payment
    tx: AsyncConnection,
    user_id: int,
    amount: Nanos,
    pot: Kind = Kind.PAID,
    *,
    at: float,
    reference: str | None,
    reason: str = "",
) -> int | None:
    """Put a user's payment into a pot; return the entry's number, None where it is a repetition.

    Raises `BadPotError` and `BadEntryError`.
    """
    account = Account(pot, user_id)
    return await _put(tx, account, amount, ("top_up", at, reference, reason))


async def grant(  # noqa: PLR0913 - the facts of one gift
    tx: AsyncConnection,
    user_id: int,
    amount: Nanos,
    pot: Kind = Kind.FREE,
    *,
    at: float,
    reference: str | None,
    reason: str = "",
    billing: str = "",
) -> int | None:
    """Give a user money; `billing` names the channel of a credit. Else as `top_up`."""
    account = Account(pot, user_id, billing)
    return await _put(tx, account, amount, ("grant", at, reference, reason))


async def adjust(  # noqa: PLR0913 - the facts of one correction
    tx: AsyncConnection,
    user_id: int,
    amount: Nanos,
    pot: Kind = Kind.PAID,
    *,
    at: float,
    reference: str | None,
    reason: str = "",
    billing: str = "",
) -> int | None:
    """Correct a pot by `amount`, which may be below zero. Else as `top_up`.

    Raises `InsufficientFundsError` where less than that is there and free.
    """
    account = Account(pot, user_id, billing)
    return await _put(tx, account, amount, ("adjust", at, reference, reason), signed=True)


async def _put(
    tx: AsyncConnection,
    account: Account,
    amount: Nanos,
    facts: tuple[str, float, str | None, str],
    *,
    signed: bool = False,
) -> int | None:
    kind, at, reference, reason = facts
    source = _SOURCES.get(account.kind)
    if source is None or (account.kind is Kind.CREDIT) != bool(account.name):
        raise BadPotError("A pot is `free`, `paid`, or the credit of a billing channel.")
    if not amount or abs(amount) > MOST or (amount < 0 and not signed):
        raise BadPotError("The amount has to be more than nothing, and not absurdly large.")
    entry_id = await books.post(
        tx,
        Entry(
            kind=kind,
            postings=((account, amount), (Account(source), -amount)),
            at=at,
            user_id=account.owner,
            reference=reference,
            reason=reason,
        ),
    )
    if entry_id is None:
        return None
    if amount < 0 and (await books.balances(tx, [account]))[account] < 0:
        raise InsufficientFundsError(
            f"The {account.kind.value} money is less than {shown(-amount)} USD; take less."
        )
    await change_available(tx, _budget_of(account), amount)
    return entry_id


async def refundable(connection: AsyncConnection, call_id: int) -> Refundable:
    """Return who paid for a call; its credit's `billing` is not known here.

    Raises `NotYetPostedError`.
    """
    found = await store.charge(connection, call_id)
    if found is None:
        raise NotYetPostedError(
            "No charge of that call is posted. One follows within a second of the call's end: try "
            "again then; if it stays away, the number is wrong.",
            retry_after=_RETRY_AFTER,
        )
    return found


async def refund(  # noqa: PLR0913 - the facts of one refund
    tx: AsyncConnection,
    charge: Refundable,
    amount: Nanos | None = None,
    *,
    at: float,
    reference: str | None,
    reason: str = "",
) -> int | None:
    """Give back a call's charge, or `amount` of it, to the pots that paid; else as `top_up`.

    None for `amount` is all that was not given back before. Raises `RefundTooLargeError`, and
    `BadPotError` where credit paid and its billing channel is not named.
    """
    await books.lock(tx)
    if reference is not None and await books.is_posted(tx, reference):
        return None
    back = _split(charge, await books.reversed_of(tx, charge.call_id), amount)
    entry = Entry(
        kind="refund",
        postings=(*back, (Account(Kind.REVENUE), -sum(part for _, part in back))),
        at=at,
        user_id=charge.user_id,
        reference=reference,
        reverses=charge.call_id,
        reason=reason,
    )
    entry_id = await books.post(tx, entry)
    if entry_id is not None:
        await _return(tx, back)
    return entry_id


def _split(
    charge: Refundable, before: Mapping[Kind, Nanos], amount: Nanos | None
) -> list[tuple[Account, Nanos]]:
    """Return which accounts get back how much, given what they got back `before`."""
    left = {kind: max(getattr(charge, kind.value) - before.get(kind, 0), 0) for kind in _BACK}
    rest = sum(left.values()) if amount is None else amount
    if not 0 < rest <= sum(left.values()):
        raise RefundTooLargeError(
            f"The call was charged {shown(sum(left.values()))} USD that were not given back yet; "
            "refund at most that."
        )
    if left[Kind.CREDIT] and not charge.billing:
        raise BadPotError("Name the billing channel whose credit paid for the call.")
    back: list[tuple[Account, Nanos]] = []
    for kind in _BACK:
        part = min(left[kind], rest)
        if part:
            name = charge.billing if kind is Kind.CREDIT else ""
            back.append((Account(kind, charge.user_id, name), part))
            rest -= part
    return back


async def _return(tx: AsyncConnection, back: Sequence[tuple[Account, Nanos]]) -> None:
    amounts: dict[Budget, Nanos] = {}
    for account, part in back:
        if account.kind is not Kind.DUE:
            budget = _budget_of(account)
            amounts[budget] = amounts.get(budget, 0) + part
    for budget, part in amounts.items():
        await change_available(tx, budget, part)


def _budget_of(account: Account) -> Budget:
    kind = BudgetKind.CREDIT if account.kind is Kind.CREDIT else BudgetKind.WALLET
    return Budget(kind, account.owner, account.name)


# -- budgets --------------------------------------------------------------------------------------


async def ensure(tx: AsyncConnection, budget: Budget, available: Nanos = 0) -> None:
    """Make a budget where there is none."""
    await store.ensure(tx, budget, available)


async def change_available(tx: AsyncConnection, budget: Budget, delta: Nanos) -> None:
    """Add to what is available of a budget, making it where it is missing.

    Raises `InsufficientFundsError` where it would fall below zero.
    """
    await store.ensure(tx, budget, 0)
    row = (await store.locked(tx, [budget]))[budget]
    if delta < 0 and row.available + delta < 0:
        held = sum((await store.leased(tx, [row.id])).values())
        raise InsufficientFundsError(
            f"Only {shown(max(row.available, 0))} USD are free to be taken, and {shown(held)} USD "
            "are held for calls. What lies idle returns within seconds: try again then, or shut "
            "the user out first.",
            retry_after=_RETRY_AFTER,
        )
    await store.give(tx, {row.id: delta})


async def ask_back(tx: AsyncConnection, budget: Budget, amount: Nanos) -> Nanos:
    """Return how much of `amount` no worker holds, and recall the rest of it.

    Who posts what is returned has the entries' lock, so that no balance waits for this budget.
    """
    row = (await store.locked(tx, [budget])).get(budget)
    free = 0 if row is None else min(max(row.available, 0), amount)
    if row is not None and free < amount:
        await store.set_recall(tx, {row.id: amount - free})
        await versions.bump(tx, RECALLS)
    return free


async def set_cap(tx: AsyncConnection, budget: Budget, most: Nanos, used: Nanos) -> None:
    """Set what a key or a consent may spend in all, of which `used` is posted.

    `used` is read in the same transaction under a lock that its posting takes too. Less than what
    is used and leased leaves less than nothing available: nothing is granted then.
    """
    await store.ensure(tx, budget, 0)
    row = (await store.locked(tx, [budget]))[budget]
    held = sum((await store.leased(tx, [row.id])).values())
    await store.set_available(tx, row.id, most - used - held)


# -- leases ---------------------------------------------------------------------------------------


async def lease(
    tx: AsyncConnection, journal_id: int, wants: Sequence[Want], workers: int, *, turn: int
) -> dict[Budget, Share]:
    """Move what a hold needs from its budgets into a journal's leases: of all, or of none.

    Each gives max(need, min(slice, available // (2 * workers))), and at most what is available.
    Where one has less than its need nothing is granted; the missing amount is recalled where
    others hold it. A budget that does not exist has nothing, and no share.
    """
    rows = await store.locked(tx, [want.budget for want in wants])
    short = {
        rows[want.budget].id: want.need - max(rows[want.budget].available, 0)
        for want in wants
        if want.budget in rows and max(rows[want.budget].available, 0) < want.need
    }
    if short or len(rows) < len(wants):
        return await _recall(tx, journal_id, rows, short)
    shares: dict[Budget, Share] = {}
    for want in wants:
        row = rows[want.budget]
        available = max(row.available, 0)
        granted = min(available, max(want.need, min(want.slice, available // (2 * workers))))
        shares[want.budget] = Share(row.id, granted, row.available - granted)
    amounts = {share.budget_id: share.granted for share in shares.values()}
    await store.take(tx, amounts)
    await store.add_leases(tx, journal_id, amounts, turn)
    return shares


async def _recall(
    tx: AsyncConnection,
    journal_id: int,
    rows: Mapping[Budget, store.Row],
    short: Mapping[int, Nanos],
) -> dict[Budget, Share]:
    waited = {row.id: row.recall for row in rows.values()}
    held = await store.leased(tx, list(waited), besides=journal_id)
    recalls = {
        budget_id: missing
        for budget_id, missing in short.items()
        if held.get(budget_id, 0) >= missing > waited[budget_id]
    }
    if recalls:
        await store.set_recall(tx, recalls)
        await versions.bump(tx, RECALLS)
    return {
        budget: Share(row.id, 0, max(row.available, 0), held.get(row.id, 0))
        for budget, row in rows.items()
    }


async def give_back(
    tx: AsyncConnection, journal_id: int, amounts: Mapping[int, Nanos], *, turn: int
) -> None:
    """Return parts of a journal's leases, by budget id. Raises `LeaseOverdrawnError`."""
    await store.lock(tx, list(amounts))
    await _lower(tx, journal_id, amounts, turn)
    await store.give(tx, amounts, answer=True)


async def recalled(connection: AsyncConnection, among: Sequence[int]) -> frozenset[int]:
    """Return those of some budgets, by id, that somebody waits for."""
    return await store.recalled(connection, among)


async def turns(tx: AsyncConnection, journal_id: int, budget_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of the last change to each of a journal's leases that exist.

    A change whose commit is still on its way is waited for.
    """
    await store.lock(tx, budget_ids)
    found = await store.leases_of(tx, journal_id, budget_ids)
    return {budget_id: turn for budget_id, (_, turn) in found.items()}


async def spent(tx: AsyncConnection, journal_id: int, amounts: Mapping[int, Nanos]) -> None:
    """Lower a journal's leases, by budget id, by what calls took of them and is posted now.

    Raises `LeaseOverdrawnError` where one holds less: then nothing may be posted.
    """
    await _lower(tx, journal_id, amounts, None)


async def _lower(
    tx: AsyncConnection, journal_id: int, amounts: Mapping[int, Nanos], turn: int | None
) -> None:
    held = await store.leases_of(tx, journal_id, list(amounts), lock=True)
    emptied: list[int] = []
    for budget_id, amount in amounts.items():
        remaining = held.get(budget_id, (0, 0))[0]
        if not 0 <= amount <= remaining:
            raise LeaseOverdrawnError(
                f"The lease of budget {budget_id} by journal {journal_id} holds {remaining} "
                f"nano-dollars, and {amount} are to be taken; run `meterway doctor`."
            )
        if amount == remaining:
            emptied.append(budget_id)
    await store.lower_leases(tx, journal_id, amounts, turn)
    await store.forget_leases(tx, journal_id, emptied)


async def reclaim(tx: AsyncConnection, journal_id: int) -> Nanos:
    """Return all that a dead journal's leases hold and delete them; return how much it was.

    A change of its worker whose commit is still on its way is waited for.
    """
    await store.wait_for_changes(tx, journal_id)
    await store.lock(tx, list(await store.leases_of(tx, journal_id)))
    held = await store.end_leases(tx, journal_id)
    if held:
        await store.give(tx, held, answer=True)
    return sum(held.values())


async def broken(connection: AsyncConnection) -> list[str]:
    """Say what contradicts itself in books, budgets and leases; an empty list is a sound ledger."""
    told = await books.broken(connection)
    for kind, owner, name, surplus in await store.off_budgets(connection, _TOLD):
        told.append(f"budget {kind} {name} of {owner} exceeds its balance by {surplus}")
    for budget_id, journal_id, remaining in await store.negative_leases(connection, _TOLD):
        told.append(f"lease of budget {budget_id} by journal {journal_id} holds {remaining}")
    return told
