"""The SQL of conversations and their items."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import rows
from meterway.db.rows import fetch
from meterway.kit import json
from meterway.threads.tables import conversation_items as items
from meterway.threads.tables import conversations
from meterway.threads.types import Cursor, Item

_LOAD = text(
    "SELECT body FROM conversation_items WHERE conversation_id = "
    "(SELECT id FROM conversations WHERE id = :id AND user_id = :user_id) ORDER BY position"
)


_ALLOT = text(
    "UPDATE conversations SET next_position = next_position + :count, size = size + :bytes "
    "WHERE id = :id AND user_id = :user_id RETURNING next_position - :count"
)
_KNOWN = text(
    "SELECT item_id FROM conversation_items WHERE conversation_id = :id "
    "AND item_id IN (SELECT value FROM json_each(:names))"
)
_KNOWN_BY_ARRAY = text(
    "SELECT item_id FROM conversation_items WHERE conversation_id = :id "
    "AND item_id = ANY(CAST(:names AS TEXT[]))"
)
_ITEM = ("conversation_id", "position", "item_id", "type", "body")


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Insert a conversation."""
    await tx.execute(insert(conversations).values(values))


async def one(
    connection: AsyncConnection, user_id: int, id_: str, *, lock: bool = False
) -> Row[Any] | None:
    """Return a conversation; with `lock` nobody else changes it before the transaction ends."""
    query = select(conversations).where(_is(user_id, id_))
    return (await connection.execute(query.with_for_update() if lock else query)).one_or_none()


async def change(tx: AsyncConnection, user_id: int, id_: str, values: Mapping[str, Any]) -> bool:
    """Change columns of a conversation; False where there is none."""
    changed = update(conversations).where(_is(user_id, id_)).values(values)
    return (await tx.execute(changed)).rowcount == 1


async def remove(tx: AsyncConnection, user_id: int, id_: str) -> bool:
    """Delete a conversation with its items; False where there is none."""
    return (await tx.execute(delete(conversations).where(_is(user_id, id_)))).rowcount == 1


async def allot(tx: AsyncConnection, user_id: int, id_: str, count: int, size: int) -> int | None:
    """Make room for `count` items of `size` bytes at the end of a conversation.

    Returns the position of the first; None where there is no such conversation. Nobody else
    changes it before the transaction ends.
    """
    values = {"id": id_, "user_id": user_id, "count": count, "bytes": size}
    found = await fetch(tx, _ALLOT, values)
    return found[0][0] if found else None


async def known(tx: AsyncConnection, id_: str, item_ids: Collection[str]) -> set[str]:
    """Return those of the items' ids that a conversation has."""
    if tx.dialect.name == "sqlite":
        found = await fetch(tx, _KNOWN, {"id": id_, "names": json.encode(list(item_ids)).decode()})
    else:
        found = await fetch(tx, _KNOWN_BY_ARRAY, {"id": id_, "names": list(item_ids)})
    return {row[0] for row in found}


async def append(tx: AsyncConnection, id_: str, position: int, added: Sequence[Item]) -> None:
    """Insert items into the room that was made for them."""
    values = [(id_, position + i, item.id, item.type, item.body) for i, item in enumerate(added)]
    await rows.insert(tx, "conversation_items", _ITEM, values)


async def load(connection: AsyncConnection, user_id: int, id_: str) -> list[bytes]:
    """Return the bodies of all items, oldest first."""
    found = await fetch(connection, _LOAD, {"id": id_, "user_id": user_id})
    return [row[0] for row in found]


async def item(
    connection: AsyncConnection, user_id: int, id_: str, item_id: str
) -> Row[Any] | None:
    """Return an item."""
    query = select(items).where(_of(user_id, id_), items.c.item_id == item_id)
    return (await connection.execute(query)).one_or_none()


async def page(
    connection: AsyncConnection, user_id: int, id_: str, cursor: Cursor, after: int | None
) -> Sequence[Row[Any]]:
    """Return one item more than a page has, behind the position `after`."""
    place = items.c.position
    query = select(items).where(_of(user_id, id_))
    if after is not None:
        query = query.where(place < after if cursor.descending else place > after)
    order = place.desc() if cursor.descending else place
    return (await connection.execute(query.order_by(order).limit(cursor.limit + 1))).all()


async def remove_item(tx: AsyncConnection, user_id: int, id_: str, item_id: str) -> bool:
    """Delete an item; False where there is none."""
    gone = delete(items).where(_of(user_id, id_), items.c.item_id == item_id)
    return (await tx.execute(gone)).rowcount == 1


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` conversations of a user, with their items."""
    some = select(conversations.c.id).where(conversations.c.user_id == user_id).limit(limit)
    return (await tx.execute(delete(conversations).where(conversations.c.id.in_(some)))).rowcount


def _is(user_id: int, id_: str) -> ColumnElement[bool]:
    return and_(conversations.c.id == id_, conversations.c.user_id == user_id)


def _of(user_id: int, id_: str) -> ColumnElement[bool]:
    """Say that an item is one of a conversation of the user's."""
    owned = select(conversations.c.id).where(_is(user_id, id_)).scalar_subquery()
    return items.c.conversation_id == owned
