"""The SQL of stored completions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import rows
from meterway.threads.tables import completion_metadata as pairs
from meterway.threads.tables import stored_completions as completions
from meterway.threads.types import Cursor

_COLUMNS = tuple(completions.c.keys())
_PAIR = tuple(pairs.c.keys())


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Insert a completion without its metadata."""
    row = tuple(values[name] for name in _COLUMNS)
    await rows.insert(tx, "stored_completions", _COLUMNS, [row])


async def add_metadata(tx: AsyncConnection, id_: str, metadata: Mapping[str, str]) -> None:
    """Insert a completion's metadata, at least one pair."""
    values = [(id_, name, value) for name, value in metadata.items()]
    await rows.insert(tx, "completion_metadata", _PAIR, values)


async def remove_metadata(tx: AsyncConnection, user_id: int, id_: str) -> None:
    """Delete a completion's metadata."""
    owned = select(completions.c.id).where(_is(user_id, id_)).scalar_subquery()
    await tx.execute(delete(pairs).where(pairs.c.completion_id == owned))


async def one(
    connection: AsyncConnection, user_id: int, id_: str, *, lock: bool = False
) -> Row[Any] | None:
    """Return a completion; with `lock` nobody else changes it before the transaction ends."""
    query = select(completions).where(_is(user_id, id_))
    return (await connection.execute(query.with_for_update() if lock else query)).one_or_none()


async def metadata_of(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return the metadata of completions that were found, by id."""
    query = select(pairs).where(pairs.c.completion_id.in_(ids)).order_by(pairs.c.name)
    found: dict[str, dict[str, str]] = {id_: {} for id_ in ids}
    for row in await connection.execute(query):
        found[row.completion_id][row.name] = row.value
    return found


async def page(
    connection: AsyncConnection,
    user_id: int,
    cursor: Cursor,
    after: Row[Any] | None,
    filters: tuple[str | None, Mapping[str, str]],
) -> Sequence[Row[Any]]:
    """Return one completion more than a page has, behind the row `after`."""
    model, metadata = filters
    query = select(completions).where(completions.c.user_id == user_id)
    if model is not None:
        query = query.where(completions.c.model == model)
    for name, value in metadata.items():
        query = query.where(completions.c.id.in_(_having(name, value)))
    if after is not None:
        query = query.where(_behind(after, descending=cursor.descending))
    order = (completions.c.created_at, completions.c.id)
    if cursor.descending:
        query = query.order_by(*(column.desc() for column in order))
    else:
        query = query.order_by(*order)
    return (await connection.execute(query.limit(cursor.limit + 1))).all()


async def remove(tx: AsyncConnection, user_id: int, id_: str) -> bool:
    """Delete a completion with its metadata; False where there is none."""
    return (await tx.execute(delete(completions).where(_is(user_id, id_)))).rowcount == 1


async def expire(tx: AsyncConnection, now: int, limit: int) -> int:
    """Delete up to `limit` completions whose time is over."""
    over = select(completions.c.id).where(completions.c.expires_at <= now).limit(limit)
    return (await tx.execute(delete(completions).where(completions.c.id.in_(over)))).rowcount


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` completions of a user."""
    some = select(completions.c.id).where(completions.c.user_id == user_id).limit(limit)
    return (await tx.execute(delete(completions).where(completions.c.id.in_(some)))).rowcount


def _is(user_id: int, id_: str) -> ColumnElement[bool]:
    return and_(completions.c.id == id_, completions.c.user_id == user_id)


def _having(name: str, value: str) -> Any:
    return select(pairs.c.completion_id).where(pairs.c.name == name, pairs.c.value == value)


def _behind(row: Row[Any], *, descending: bool) -> ColumnElement[bool]:
    """Say which completions come behind one, of those made at the same moment by their ids."""
    at, id_ = completions.c.created_at, completions.c.id
    if descending:
        return or_(at < row.created_at, and_(at == row.created_at, id_ < row.id))
    return or_(at > row.created_at, and_(at == row.created_at, id_ > row.id))
