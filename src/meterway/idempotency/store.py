"""The SQL of kept replies."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.idempotency.tables import repeatable_replies as replies

# One text for both engines: SQLAlchemy spells ON CONFLICT per dialect.
_ADD = text(
    "INSERT INTO repeatable_replies "
    "(user_id, name_hash, fingerprint, holder, created_at, expires_at) "
    "VALUES (:user_id, :name_hash, :fingerprint, :holder, :created_at, :expires_at) "
    "ON CONFLICT (user_id, name_hash) DO NOTHING"
)


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> bool:
    """Insert a row; False where there is one. Waits for who inserts the same at the moment."""
    return (await tx.execute(_ADD, dict(values))).rowcount == 1


async def locked(tx: AsyncConnection, user_id: int, name_hash: bytes) -> Row[Any] | None:
    """Return a row that nobody else changes until the transaction ends."""
    query = select(replies).where(_is(user_id, name_hash)).with_for_update()
    return (await tx.execute(query)).one_or_none()


async def take_over(tx: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Give a locked row to another request."""
    where = _is(values["user_id"], values["name_hash"])
    await tx.execute(update(replies).where(where).values({**values, "reply": None}))


async def finish(tx: AsyncConnection, held: Mapping[str, Any], reply: bytes, until: int) -> bool:
    """Put the reply into a row its holder still holds."""
    values = {"reply": reply, "holder": None, "expires_at": until}
    return (await tx.execute(update(replies).where(_held(held)).values(values))).rowcount == 1


async def release(tx: AsyncConnection, held: Mapping[str, Any]) -> bool:
    """Delete a row its holder still holds."""
    return (await tx.execute(delete(replies).where(_held(held)))).rowcount == 1


async def renew(tx: AsyncConnection, held: Sequence[Mapping[str, Any]], until: int) -> None:
    """Move the expiry of rows their holders still hold."""
    where = (
        replies.c.user_id == bindparam("of_user"),
        replies.c.name_hash == bindparam("of_name"),
        replies.c.holder == bindparam("of_holder"),
    )
    rows = [
        {"of_user": row["user_id"], "of_name": row["name_hash"], "of_holder": row["holder"]}
        for row in held
    ]
    await tx.execute(update(replies).where(*where).values(expires_at=until), rows)


async def purge(tx: AsyncConnection, now: int, born: int, limit: int) -> int:
    """Delete up to `limit` rows that are over; one still held is over when it began by `born`."""
    over = (replies.c.expires_at <= now) & or_(
        replies.c.holder.is_(None), replies.c.created_at <= born
    )
    row = (replies.c.user_id, replies.c.name_hash)
    some = select(*row).where(over).limit(limit)
    return (await tx.execute(delete(replies).where(tuple_(*row).in_(some)))).rowcount


async def forget(tx: AsyncConnection, user_id: int) -> int:
    """Delete a user's ended rows."""
    mine = (replies.c.user_id == user_id, replies.c.reply.is_not(None))
    return (await tx.execute(delete(replies).where(*mine))).rowcount


async def sealed(tx: AsyncConnection) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """Yield every ended row: user, name, reply; one at a time, since replies may be large."""
    row = (replies.c.user_id, replies.c.name_hash)
    ended = (await tx.execute(select(*row).where(replies.c.reply.is_not(None)))).all()
    for user_id, name_hash in ended:
        query = select(replies.c.reply).where(_is(user_id, name_hash))
        yield user_id, name_hash, (await tx.execute(query)).scalar_one()


async def replace(tx: AsyncConnection, user_id: int, name_hash: bytes, reply: bytes) -> None:
    """Put another sealing of the same reply in its place."""
    await tx.execute(update(replies).where(_is(user_id, name_hash)).values(reply=reply))


def _is(user_id: int, name_hash: bytes) -> ColumnElement[bool]:
    return and_(replies.c.user_id == user_id, replies.c.name_hash == name_hash)


def _held(held: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(_is(held["user_id"], held["name_hash"]), replies.c.holder == held["holder"])
