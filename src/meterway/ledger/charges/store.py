"""The SQL of charges."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.rows import Among, Values, fetch, fetch_among, insert
from meterway.ledger.charges.tables import charges, names, usage_days

_COLUMNS: Final = tuple(charges.c.keys())
_DAYS: Final = tuple(usage_days.c.keys())
_REMOVE = text("DELETE FROM charges WHERE call_id = :call_id")
_SCAN = text(
    f"SELECT {', '.join(_COLUMNS)} FROM charges "  # noqa: S608 - our own names
    "WHERE call_id > :after ORDER BY call_id LIMIT :most"
)
_KNOWN = Among("SELECT call_id FROM charges WHERE call_id {among}")
_ADDING: Final = f"ON CONFLICT ({', '.join(_DAYS[:4])}) DO UPDATE SET " + ", ".join(
    f"{name} = usage_days.{name} + excluded.{name}" for name in _DAYS[4:]
)
_ADD_NAME = text("INSERT INTO names (text) VALUES (:text) ON CONFLICT DO NOTHING")


async def name_ids(connection: AsyncConnection, texts: Collection[str]) -> dict[str, int]:
    """Return the numbers of those texts that have one."""
    query = select(names.c.text, names.c.id).where(names.c.text.in_(texts))
    return {row.text: row.id for row in await connection.execute(query)}


async def add_names(tx: AsyncConnection, texts: Collection[str]) -> None:
    """Give texts numbers; those that have one keep it."""
    await tx.execute(_ADD_NAME, [{"text": one} for one in sorted(texts)])


async def name_texts(connection: AsyncConnection, ids: Collection[int]) -> dict[int, str]:
    """Return the texts of these numbers."""
    query = select(names.c.id, names.c.text).where(names.c.id.in_(ids))
    return {row.id: row.text for row in await connection.execute(query)}


async def known(connection: AsyncConnection, call_ids: Collection[int]) -> set[int]:
    """Return those of the calls that are charged."""
    return {row[0] for row in await fetch_among(connection, _KNOWN, call_ids)}


async def add(tx: AsyncConnection, rows: Sequence[Values]) -> None:
    """Insert charges. Raises SQLAlchemy's `IntegrityError` where a call has one."""
    await insert(tx, "charges", _COLUMNS, rows)


async def add_to_days(tx: AsyncConnection, rows: Sequence[Values]) -> None:
    """Add to the sums by day; a row has the columns of `usage_days`."""
    await insert(tx, "usage_days", _DAYS, rows, _ADDING)


async def some(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]], limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the youngest charges that meet the conditions.

    They are looked up once they are found: an index that knows what is asked for is enough to find.
    """
    youngest = charges.c.call_id.desc()
    found = select(charges.c.call_id).where(*conditions).order_by(youngest).limit(limit)
    query = select(charges).where(charges.c.call_id.in_(found)).order_by(youngest)
    return (await connection.execute(query)).all()


async def scan(connection: AsyncConnection, after: int, limit: int) -> Sequence[Values]:
    """Return charges in the order of their call ids."""
    return await fetch(connection, _SCAN, {"after": after, "most": limit})


async def within(
    connection: AsyncConnection, batches: Collection[int], between: tuple[int, int]
) -> list[Values]:
    """Return the charges of batches by call id, of those whose call ids lie in a range."""
    query = (
        select(charges)
        .where(charges.c.batch.in_(batches), charges.c.call_id.between(*between))
        .order_by(charges.c.call_id)
    )
    return [tuple(row) for row in await connection.execute(query)]


async def oldest_of(connection: AsyncConnection, user_id: int, limit: int) -> list[Values]:
    """Return a user's oldest charges."""
    query = (
        select(charges).where(charges.c.user_id == user_id).order_by(charges.c.call_id).limit(limit)
    )
    return [tuple(row) for row in await connection.execute(query)]


async def count(connection: AsyncConnection) -> int:
    """Return how many charges there are."""
    return (await connection.execute(select(func.count()).select_from(charges))).scalar_one()


async def days(connection: AsyncConnection) -> dict[tuple[int, int, int, int], tuple[int, ...]]:
    """Return every row of `usage_days`: its sums by its key."""
    return {
        (row[0], row[1], row[2], row[3]): tuple(row[4:])
        for row in await connection.execute(select(usage_days))
    }


async def days_with(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]]
) -> Sequence[int]:
    """Return the days of the sums that meet the conditions, youngest first."""
    query = select(usage_days.c.day).where(*conditions).distinct()
    return (await connection.execute(query.order_by(usage_days.c.day.desc()))).scalars().all()


async def sums(
    connection: AsyncConnection, column: str, conditions: Sequence[ColumnElement[bool]]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the sums of `usage_days` by one of its columns, in its order."""
    of = usage_days.c[column]
    added = [func.sum(usage_days.c[name]).label(name) for name in _DAYS[4:]]
    query = select(of.label("of"), *added).where(*conditions).group_by(of).order_by(of)
    return (await connection.execute(query)).all()


async def remove(tx: AsyncConnection, call_ids: Collection[int]) -> None:
    """Delete charges."""
    await tx.execute(_REMOVE, [{"call_id": call_id} for call_id in call_ids])
