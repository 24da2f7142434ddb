"""The SQL of the books."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Row, func, insert, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.db.rows import Among, change, fetch_among
from meterway.kit.money import Nanos
from meterway.ledger.books.tables import book_accounts, entries, postings
from meterway.ledger.books.types import Account, Entry, Kind

_ENTRIES: Final = 0x6D746265  # any number of ours: PostgreSQL's advisory locks are one space
_AT_ONCE = 500  # SQLite takes a bounded number of parameters
_KEY = tuple_(book_accounts.c.kind, book_accounts.c.owner, book_accounts.c.name)
_MOVE = text(
    "INSERT INTO book_accounts (kind, owner, name, balance) "
    "VALUES (:kind, :owner, :name, :amount) ON CONFLICT (kind, owner, name) "
    "DO UPDATE SET balance = book_accounts.balance + excluded.balance"
)
_OF_USERS = "SELECT kind, owner, balance FROM book_accounts WHERE name = '' AND owner {among} "
_POTS = Among(_OF_USERS + "AND kind IN ('free', 'paid', 'due')")
_TO_SPLIT = Among(_OF_USERS + "AND kind IN ('free', 'paid')", "ORDER BY kind, owner", lock=True)
_DUE = Among(_OF_USERS + "AND kind = 'due'")
_OFF_ENTRIES = text(
    "SELECT e.id FROM entries e LEFT JOIN postings p ON p.entry_id = e.id "
    "GROUP BY e.id HAVING COUNT(p.amount) = 0 OR SUM(p.amount) <> 0 ORDER BY e.id LIMIT :most"
)
# Grouped by +user_id: in the order of the index over it every charge would be looked up by itself.
_OFF_ACCOUNTS = text(
    """
    WITH by_user AS (
        SELECT +user_id AS user_id, SUM(free) AS free, SUM(paid) AS paid, SUM(credit) AS credit,
               SUM(due) AS due, SUM(overrun) AS overrun, SUM(price) AS price
        FROM charges GROUP BY +user_id
    ), by_channel AS (
        SELECT channel_id, SUM(cost) AS cost FROM charges GROUP BY channel_id
    ), said (kind, owner, amount) AS (
        SELECT 'free', user_id, -free FROM by_user
        UNION ALL SELECT 'paid', user_id, -paid FROM by_user
        UNION ALL SELECT 'credit', user_id, -credit FROM by_user
        UNION ALL SELECT 'due', user_id, -due FROM by_user
        UNION ALL SELECT 'overrun', 0, -SUM(overrun) FROM by_user
        UNION ALL SELECT 'revenue', 0, SUM(price) FROM by_user
        UNION ALL SELECT 'cost', channel_id, -cost FROM by_channel
        UNION ALL SELECT 'provider', channel_id, cost FROM by_channel
        UNION ALL SELECT a.kind, a.owner, p.amount
                  FROM postings p JOIN book_accounts a ON a.id = p.account_id
        UNION ALL SELECT kind, owner, -balance FROM book_accounts
    )
    SELECT kind, owner, SUM(amount) AS missing FROM said GROUP BY kind, owner
    HAVING SUM(amount) <> 0 ORDER BY kind, owner LIMIT :most
    """
)


async def lock_entries(tx: AsyncConnection) -> None:
    """Wait until nobody else posts; SQLite has one writer anyway."""
    if tx.dialect.name == "postgresql":
        await tx.execute(select(func.pg_advisory_xact_lock(_ENTRIES)))


async def is_posted(connection: AsyncConnection, reference: str) -> bool:
    """Say whether an entry carries a reference."""
    query = select(entries.c.id).where(entries.c.reference == reference)
    return (await connection.execute(query)).first() is not None


async def move(tx: AsyncConnection, deltas: Sequence[tuple[Account, Nanos]]) -> None:
    """Add to balances in the order given, making the accounts that are missing."""
    rows = [
        {"kind": kind.value, "owner": owner, "name": name, "amount": amount}
        for (kind, owner, name), amount in deltas
    ]
    await change(tx, _MOVE, rows)


async def accounts(
    connection: AsyncConnection, wanted: Sequence[Account]
) -> dict[Account, tuple[int, Nanos]]:
    """Return number and balance of those accounts that exist."""
    found: dict[Account, tuple[int, Nanos]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        keys = [(kind.value, owner, name) for kind, owner, name in wanted[start : start + _AT_ONCE]]
        rows = await connection.execute(select(book_accounts).where(_KEY.in_(keys)))
        found |= {_account(row): (row.id, row.balance) for row in rows}
    return found


async def of_users(
    connection: AsyncConnection, user_ids: Collection[int], *, lock: bool
) -> list[tuple[Account, Nanos]]:
    """Return users' unnamed accounts; `lock` keeps others from moving the free and paid ones."""
    locks = lock and connection.dialect.name == "postgresql"
    queries = (_TO_SPLIT, _DUE) if locks else (_POTS,)
    return [
        (Account(Kind(kind), owner), balance)
        for query in queries
        for kind, owner, balance in await fetch_among(connection, query, user_ids)
    ]


async def add(tx: AsyncConnection, entry: Entry, amounts: Mapping[int, Nanos]) -> int:
    """Insert an entry and its postings, `amounts` by account number; return its number."""
    row = insert(entries).values(
        at=to_millis(entry.at),
        kind=entry.kind,
        user_id=entry.user_id,
        reference=entry.reference,
        reverses=entry.reverses,
        reason=entry.reason,
    )
    added: int = (await tx.execute(row.returning(entries.c.id))).scalar_one()
    lines = [
        {"entry_id": added, "account_id": account_id, "amount": amount}
        for account_id, amount in amounts.items()
    ]
    await tx.execute(insert(postings), lines)
    return added


async def of_user(
    connection: AsyncConnection, user_id: int, before: int | None, limit: int
) -> list[tuple[int, Entry]]:
    """Return a user's entries and their numbers, newest first."""
    query = select(entries).where(entries.c.user_id == user_id)
    if before is not None:
        query = query.where(entries.c.id < before)
    rows = (await connection.execute(query.order_by(entries.c.id.desc()).limit(limit))).all()
    lines = (
        select(postings.c.entry_id, postings.c.amount, book_accounts)
        .join(book_accounts, book_accounts.c.id == postings.c.account_id)
        .where(postings.c.entry_id.in_([row.id for row in rows]))
        .order_by(book_accounts.c.id)
    )
    moved: defaultdict[int, list[tuple[Account, Nanos]]] = defaultdict(list)
    for line in await connection.execute(lines):
        moved[line.entry_id].append((_account(line), line.amount))
    return [(row.id, _entry(row, moved[row.id])) for row in rows]


async def reversed_of(connection: AsyncConnection, call_id: int) -> dict[Kind, Nanos]:
    """Return what entries that take back a call moved, by kind of account."""
    query = (
        select(book_accounts.c.kind, func.sum(postings.c.amount).label("amount"))
        .select_from(entries)
        .join(postings, postings.c.entry_id == entries.c.id)
        .join(book_accounts, book_accounts.c.id == postings.c.account_id)
        .where(entries.c.reverses == call_id)
        .group_by(book_accounts.c.kind)
    )
    return {Kind(row.kind): int(row.amount) for row in await connection.execute(query)}


async def off_entries(connection: AsyncConnection, most: int) -> list[int]:
    """Return the numbers of entries that do not add up to nothing."""
    return [row.id for row in await connection.execute(_OFF_ENTRIES, {"most": most})]


async def off_accounts(connection: AsyncConnection, most: int) -> list[tuple[str, int, Nanos]]:
    """Return kind, owner and what is missing of balances that postings do not explain."""
    rows = await connection.execute(_OFF_ACCOUNTS, {"most": most})
    return [(row.kind, row.owner, int(row.missing)) for row in rows]


def _account(row: Row[*tuple[object, ...]]) -> Account:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    columns = book_accounts.c
    return Account(Kind(facts[columns.kind]), facts[columns.owner], facts[columns.name])


def _entry(row: Row[*tuple[object, ...]], moved: Iterable[tuple[Account, Nanos]]) -> Entry:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    return Entry(
        kind=facts[entries.c.kind],
        postings=tuple(moved),
        at=to_seconds(facts[entries.c.at]),
        user_id=facts[entries.c.user_id],
        reference=facts[entries.c.reference],
        reverses=facts[entries.c.reverses],
        reason=facts[entries.c.reason],
    )
