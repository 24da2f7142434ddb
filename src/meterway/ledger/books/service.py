"""What can be done with the books: post entries, move balances, and read both.

On PostgreSQL whoever writes takes its locks in one order, which is why two writers never wait for
each other: the entries' lock, then accounts in the order of `Kind`, then budgets, then leases.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.kit.money import MOST, Nanos
from meterway.ledger.books import store
from meterway.ledger.books.errors import BadEntryError
from meterway.ledger.books.types import Account, Entry, Kind, Pots

_MOST_BALANCE = 8 * MOST  # one more movement still fits 64 bits
_PLACES = {kind: place for place, kind in enumerate(Kind)}
_LONGEST = {"kind": 16, "reference": 96, "reason": 255}
_TOLD = 20


async def lock(tx: AsyncConnection) -> None:
    """Let nobody else post an entry before this transaction ends.

    Whoever holds it sees every entry up to the largest number there is.
    """
    await store.lock_entries(tx)


async def post(tx: AsyncConnection, entry: Entry) -> int | None:
    """Write an entry and move its balances; return its number.

    None where its `reference` was posted before: nothing changes then. Numbers are committed in
    their order. Raises `BadEntryError`.
    """
    _check(entry)
    await store.lock_entries(tx)
    if entry.reference is not None and await store.is_posted(tx, entry.reference):
        return None
    await store.move(tx, _ordered(entry.postings))
    rows = await store.accounts(tx, [account for account, _ in entry.postings])
    if any(abs(balance) > _MOST_BALANCE for _, balance in rows.values()):
        raise BadEntryError("The balance would be too large.")
    return await store.add(
        tx, entry, {rows[account][0]: amount for account, amount in entry.postings}
    )


async def is_posted(connection: AsyncConnection, reference: str) -> bool:
    """Say whether an entry with this reference was posted."""
    return await store.is_posted(connection, reference)


async def move(tx: AsyncConnection, deltas: Mapping[Account, Nanos]) -> None:
    """Move balances alone: the legs stand in `charges`, written by the same transaction."""
    await store.move(tx, _ordered([(key, amount) for key, amount in deltas.items() if amount]))


async def balances(
    connection: AsyncConnection, accounts: Collection[Account]
) -> dict[Account, Nanos]:
    """Return the balance of every account named; one that does not exist has nothing."""
    rows = await store.accounts(connection, list(accounts))
    return {account: rows[account][1] if account in rows else 0 for account in accounts}


async def pots(
    connection: AsyncConnection, user_ids: Collection[int], *, lock: bool = False
) -> dict[int, Pots]:
    """Return what each user named has.

    With `lock` the free and paid balances stay so until the transaction ends: who splits a price
    between them asks for it, before moving any account.
    """
    users = sorted(set(user_ids))
    facts: dict[int, dict[str, Nanos]] = {user_id: {} for user_id in users}
    for account, balance in await store.of_users(connection, users, lock=lock):
        facts[account.owner][account.kind.value] = balance
    return {user_id: Pots(**found) for user_id, found in facts.items()}


async def statement(
    connection: AsyncConnection, user_id: int, *, before: int | None = None, limit: int = 50
) -> list[tuple[int, Entry]]:
    """Return a user's entries and their numbers, newest first.

    The next page begins `before` the last number of this one.
    """
    return await store.of_user(connection, user_id, before, limit)


async def reversed_of(connection: AsyncConnection, call_id: int) -> dict[Kind, Nanos]:
    """Return what was given back of a call so far, by kind of account."""
    return await store.reversed_of(connection, call_id)


async def broken(connection: AsyncConnection) -> list[str]:
    """Say which entries do not add up, and which balances nothing explains."""
    entries = await store.off_entries(connection, _TOLD)
    accounts = await store.off_accounts(connection, _TOLD)
    return [f"entry {number} does not add up to nothing" for number in entries] + [
        f"account {kind} of {owner} lacks {missing} nano-dollars of its postings and charges"
        for kind, owner, missing in accounts
    ]


def _ordered(moves: Sequence[tuple[Account, Nanos]]) -> list[tuple[Account, Nanos]]:
    return sorted(moves, key=lambda one: (_PLACES[one[0].kind], one[0].owner, one[0].name))


def _check(entry: Entry) -> None:
    amounts = [amount for _, amount in entry.postings]
    if not amounts or sum(amounts) != 0:
        raise BadEntryError("The amounts of an entry have to add up to nothing.")
    if 0 in amounts or len({account for account, _ in entry.postings}) < len(amounts):
        raise BadEntryError("An entry names each account once, with an amount other than 0.")
    if max(map(abs, amounts)) > MOST:
        raise BadEntryError("That amount is too large.")
    for name, longest in _LONGEST.items():
        value = getattr(entry, name) or ""
        if len(value) > longest or not value.isprintable():
            raise BadEntryError(
                f"The {name} of an entry has at most {longest} characters, all printable."
            )
