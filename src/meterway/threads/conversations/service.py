"""Conversations: items in the order in which they were appended, a turn at a time.

Follows https://platform.openai.com/docs/api-reference/conversations. Everything is the owner's:
another user's id is one that does not exist.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.kit.ids import object_id
from meterway.threads.conversations import store
from meterway.threads.errors import (
    ConversationNotFoundError,
    HistoryTooLongError,
    ItemExistsError,
    ItemNotFoundError,
)
from meterway.threads.items import joined
from meterway.threads.naming import ITEM_LONGEST, is_name
from meterway.threads.types import Conversation, Cursor, Item, Page

LARGEST: Final = 64 * 1024 * 1024
"""How many bytes of items are loaded at once, where the caller names no other bound."""


async def create(
    tx: AsyncConnection,
    user_id: int,
    metadata: Mapping[str, str],
    items: Sequence[Item],
    *,
    now: float,
) -> Conversation:
    """Make a conversation that begins with `items`; `now` in seconds since the epoch.

    Raises `ItemExistsError` where two of them have one id.
    """
    id_ = object_id("conv")
    values = {
        "id": id_,
        "user_id": user_id,
        "created_at": to_millis(now),
        "metadata": dict(metadata),
        "next_position": 0,
        "size": 0,
    }
    await store.add(tx, values)
    if items:
        await add_items(tx, user_id, id_, items)
    return Conversation(id=id_, created_at=now, metadata=metadata)


async def get(connection: AsyncConnection, user_id: int, id_: str) -> Conversation:
    """Return a conversation. Raises `ConversationNotFoundError`."""
    return _conversation(await _found(connection, user_id, id_))


async def update(
    tx: AsyncConnection, user_id: int, id_: str, metadata: Mapping[str, str]
) -> Conversation:
    """Put metadata in the place of those it has. Raises `ConversationNotFoundError`."""
    found = _conversation(await _found(tx, user_id, id_, lock=True))
    await store.change(tx, user_id, id_, {"metadata": dict(metadata)})
    return Conversation(id=id_, created_at=found.created_at, metadata=metadata)


async def delete(tx: AsyncConnection, user_id: int, id_: str) -> None:
    """Delete a conversation with its items. Raises `ConversationNotFoundError`."""
    if not is_name(id_) or not await store.remove(tx, user_id, id_):
        raise ConversationNotFoundError(id_)


async def add_items(
    tx: AsyncConnection, user_id: int, id_: str, items: Sequence[Item]
) -> Sequence[Item]:
    """Append items and return them. Raises `ConversationNotFoundError` and `ItemExistsError`."""
    added = await append_turn(tx, user_id, id_, items)
    if len(added) < len(items):
        new = {item.id for item in added}
        twice = next(
            (item.id for item in items if item.id not in new), added[0].id if added else ""
        )
        raise ItemExistsError(
            f"The conversation has an item '{twice}' already, or it is sent twice; leave its id "
            "out, or the item.",
            param="items",
        )
    return added


async def append_turn(
    tx: AsyncConnection, user_id: int, id_: str, items: Sequence[Item]
) -> Sequence[Item]:
    """Append what was said in one turn, side by side, whoever else appends at the moment.

    Items whose id the conversation has already are left out; those appended are returned. Until
    the transaction ends others who append to this conversation wait. Raises
    `ConversationNotFoundError`.
    """
    new = {item.id: item for item in reversed(items)}  # of two with one id the first
    count, size = len(new), _size(new.values())
    first = await store.allot(tx, user_id, id_, count, size) if is_name(id_) else None
    if first is None:
        raise ConversationNotFoundError(id_)
    twice = await store.known(tx, id_, new) if first and new else ()
    added = [item for item in reversed(new.values()) if item.id not in twice]
    if added:
        await store.append(tx, id_, first, added)
    if twice:
        await store.allot(tx, user_id, id_, len(added) - count, _size(added) - size)
    return added


def _size(items: Iterable[Item]) -> int:
    return sum(len(item.body) for item in items)


async def load(
    connection: AsyncConnection, user_id: int, id_: str, *, largest: int = LARGEST
) -> bytes:
    """Return all items of a conversation, oldest first: one JSON array.

    `largest` bounds the bytes. Raises `ConversationNotFoundError` and `HistoryTooLongError`.
    """
    row = await _found(connection, user_id, id_)
    if row.size > largest:
        raise HistoryTooLongError(
            f"The items of conversation '{id_}' have more than {largest} bytes; delete some, or "
            "begin another.",
            param="conversation",
        )
    return joined(await store.load(connection, user_id, id_))


async def items_page(
    connection: AsyncConnection, user_id: int, id_: str, cursor: Cursor
) -> Page[Item]:
    """Return a page of items. Raises `ConversationNotFoundError` and `ItemNotFoundError`."""
    await _found(connection, user_id, id_)
    after = None
    if cursor.after is not None:
        after = (await _item(connection, user_id, id_, cursor.after, param="after")).position
    rows = await store.page(connection, user_id, id_, cursor, after)
    return Page([_item_of(row) for row in rows[: cursor.limit]], len(rows) > cursor.limit)


async def get_item(connection: AsyncConnection, user_id: int, id_: str, item_id: str) -> Item:
    """Return an item. Raises `ConversationNotFoundError` and `ItemNotFoundError`."""
    await _found(connection, user_id, id_)
    return _item_of(await _item(connection, user_id, id_, item_id))


async def delete_item(tx: AsyncConnection, user_id: int, id_: str, item_id: str) -> Conversation:
    """Delete an item; return its conversation.

    Raises `ConversationNotFoundError` and `ItemNotFoundError`.
    """
    row = await _found(tx, user_id, id_, lock=True)
    item = _item_of(await _item(tx, user_id, id_, item_id))
    await store.remove_item(tx, user_id, id_, item_id)
    await store.change(tx, user_id, id_, {"size": row.size - len(item.body)})
    return _conversation(row)


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` conversations of a user, with their items; return how many."""
    return await store.forget(tx, user_id, limit)


async def _found(
    connection: AsyncConnection, user_id: int, id_: str, *, lock: bool = False
) -> Row[Any]:
    row = await store.one(connection, user_id, id_, lock=lock) if is_name(id_) else None
    if row is None:
        raise ConversationNotFoundError(id_)
    return row


async def _item(
    connection: AsyncConnection, user_id: int, id_: str, item_id: str, param: str | None = None
) -> Row[Any]:
    usable = is_name(item_id, ITEM_LONGEST)
    row = await store.item(connection, user_id, id_, item_id) if usable else None
    if row is None:
        raise ItemNotFoundError(item_id, param=param)
    return row


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(id=row.id, created_at=to_seconds(row.created_at), metadata=row.metadata)


def _item_of(row: Row[Any]) -> Item:
    return Item(row.item_id, row.type, row.body)
