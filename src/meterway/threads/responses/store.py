"""The SQL of kept responses."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import rows
from meterway.db.rows import Into, Values, fetch
from meterway.threads.tables import responses
from meterway.threads.types import StoredResponse

INTO = Into("responses", StoredResponse.__struct_fields__)
# Ids alone go up the chain; what they hold is read once, and the sum of its bytes ends the climb.
_CHAIN = text(
    "WITH RECURSIVE chain (depth, id, previous_id, size) AS ("
    " SELECT 0, id, previous_id, CAST(length(input) + length(output) AS BIGINT)"
    " FROM responses WHERE id = :id AND user_id = :user_id"
    " UNION ALL"
    " SELECT chain.depth + 1, older.id, older.previous_id,"
    " chain.size + length(older.input) + length(older.output)"
    " FROM chain JOIN responses AS older"
    " ON older.id = chain.previous_id AND older.user_id = :user_id"
    " WHERE chain.depth < :deepest AND chain.size <= :largest) "
    "SELECT chain.depth, chain.size, chain.previous_id, turn.input, turn.output "
    "FROM chain JOIN responses AS turn ON turn.id = chain.id ORDER BY chain.depth DESC"
)


async def add(tx: AsyncConnection, some: Sequence[Values]) -> None:
    """Insert responses: values in the order of `StoredResponse`'s fields."""
    await rows.insert(tx, *INTO, some)


async def change(tx: AsyncConnection, user_id: int, id_: str, values: Mapping[str, Any]) -> bool:
    """Change columns of a response; False where there is none."""
    return (
        await tx.execute(update(responses).where(_is(user_id, id_)).values(values))
    ).rowcount == 1


async def one(connection: AsyncConnection, user_id: int, id_: str) -> Row[Any] | None:
    """Return a response."""
    return (await connection.execute(select(responses).where(_is(user_id, id_)))).one_or_none()


async def remove(tx: AsyncConnection, user_id: int, id_: str) -> bool:
    """Delete a response; False where there is none."""
    return (await tx.execute(delete(responses).where(_is(user_id, id_)))).rowcount == 1


async def chain(
    connection: AsyncConnection, user_id: int, id_: str, deepest: int, largest: int
) -> Sequence[Values]:
    """Return depth, bytes up to here, previous id, input and output, oldest first."""
    values = {"id": id_, "user_id": user_id, "deepest": deepest, "largest": largest}
    return await fetch(connection, _CHAIN, values)


async def expire(tx: AsyncConnection, now: int, limit: int) -> int:
    """Delete up to `limit` responses whose time is over."""
    over = select(responses.c.id).where(responses.c.expires_at <= now).limit(limit)
    return (await tx.execute(delete(responses).where(responses.c.id.in_(over)))).rowcount


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` responses of a user."""
    some = select(responses.c.id).where(responses.c.user_id == user_id).limit(limit)
    return (await tx.execute(delete(responses).where(responses.c.id.in_(some)))).rowcount


def _is(user_id: int, id_: str) -> ColumnElement[bool]:
    return and_(responses.c.id == id_, responses.c.user_id == user_id)
