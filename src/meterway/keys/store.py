"""The SQL of keys."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import rows
from meterway.db.metadata import to_seconds
from meterway.keys.tables import keys
from meterway.keys.types import Key


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> int:
    """Insert a key and return its id."""
    added: int = (await tx.execute(insert(keys).values(values).returning(keys.c.id))).scalar_one()
    return added


async def one(connection: AsyncConnection, condition: ColumnElement[bool]) -> Key | None:
    """Return the key a condition on unique columns names."""
    row = (await connection.execute(select(keys).where(condition))).one_or_none()
    return None if row is None else _key(row)


async def locked(tx: AsyncConnection, key_id: int) -> Key | None:
    """Return a key, and let nobody else change it before `tx` ends."""
    query = select(keys).where(keys.c.id == key_id).with_for_update(key_share=True)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _key(row)


async def of_user(connection: AsyncConnection, user_id: int | None, *, deleted: bool) -> list[Key]:
    """Return a user's keys, or all, oldest first, with `deleted` also those."""
    query = select(keys).order_by(keys.c.id)
    if not deleted:
        query = query.where(keys.c.deleted_at.is_(None))
    if user_id is not None:
        query = query.where(keys.c.user_id == user_id)
    return [_key(row) for row in await connection.execute(query)]


async def count(connection: AsyncConnection, user_id: int) -> int:
    """Return how many keys a user has that are not deleted."""
    query = select(func.count()).select_from(keys).where(keys.c.user_id == user_id)
    query = query.where(keys.c.deleted_at.is_(None))
    return (await connection.execute(query)).scalar_one()


async def change(tx: AsyncConnection, key_id: int, values: Mapping[str, Any]) -> bool:
    """Change columns of a key; False where there is none."""
    return (await tx.execute(update(keys).where(keys.c.id == key_id).values(values))).rowcount == 1


_COUNT_USE = text(
    "UPDATE keys SET used_times = used_times + :calls, used_fee = used_fee + :fee, "
    "used_at = CASE WHEN used_at > :last THEN used_at ELSE :last END WHERE id = :key"
)


async def count_use(tx: AsyncConnection, uses: Sequence[Mapping[str, int]]) -> None:
    """Add what calls used to the counters of their keys, by one statement run many times."""
    await rows.change(tx, _COUNT_USE, uses)


def _key(row: Row[*tuple[object, ...]]) -> Key:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    permissions = facts[keys.c.permissions]
    return Key(
        id=facts[keys.c.id],
        user_id=facts[keys.c.user_id],
        shown=facts[keys.c.shown],
        remark=facts[keys.c.remark],
        permissions=None if permissions is None else frozenset(permissions),
        is_admin=facts[keys.c.is_admin],
        disabled=facts[keys.c.disabled],
        expires_at=_moment(facts[keys.c.expires_at]),
        created_at=to_seconds(facts[keys.c.created_at]),
        default_model=facts[keys.c.default_model],
        max_fee=facts[keys.c.max_fee],
        used_fee=facts[keys.c.used_fee],
        used_times=facts[keys.c.used_times],
        used_at=_moment(facts[keys.c.used_at]),
        deleted_at=_moment(facts[keys.c.deleted_at]),
        zero_retention=facts[keys.c.zero_retention],
    )


def _moment(millis: int | None) -> float | None:
    return None if millis is None else to_seconds(millis)
