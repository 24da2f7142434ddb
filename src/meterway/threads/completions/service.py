"""Keeping chat completions made with `store: true`.

Follows https://platform.openai.com/docs/api-reference/chat/list. Everything is the owner's:
another user's id is one that does not exist.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.kit.ids import object_id
from meterway.threads.completions import store
from meterway.threads.errors import CompletionNotFoundError
from meterway.threads.naming import is_name
from meterway.threads.types import Cursor, Page, StoredCompletion

_MODEL: Final = 255
_MOMENTS: Final = ("created_at", "expires_at")


def new_id() -> str:
    """Return the id of a new completion."""
    return object_id("chatcmpl", "-")


async def add(tx: AsyncConnection, completion: StoredCompletion) -> None:
    """Keep a completion."""
    values = msgspec.structs.asdict(completion)
    metadata = values.pop("metadata")
    values["model"] = _kept(completion.model)
    for name in _MOMENTS:
        values[name] = None if values[name] is None else to_millis(values[name])
    await store.add(tx, values)
    if metadata:
        await store.add_metadata(tx, completion.id, metadata)


async def get(connection: AsyncConnection, user_id: int, id_: str) -> StoredCompletion:
    """Return a completion. Raises `CompletionNotFoundError`."""
    row = await _found(connection, user_id, id_)
    return _completion(row, (await store.metadata_of(connection, [id_]))[id_])


async def update(
    tx: AsyncConnection, user_id: int, id_: str, metadata: Mapping[str, str]
) -> StoredCompletion:
    """Put metadata in the place of those it has. Raises `CompletionNotFoundError`."""
    row = await _found(tx, user_id, id_, lock=True)
    await store.remove_metadata(tx, user_id, id_)
    if metadata:
        await store.add_metadata(tx, id_, metadata)
    return _completion(row, metadata)


async def delete(tx: AsyncConnection, user_id: int, id_: str) -> None:
    """Delete a completion. Raises `CompletionNotFoundError`."""
    if not is_name(id_) or not await store.remove(tx, user_id, id_):
        raise CompletionNotFoundError(id_)


async def page(
    connection: AsyncConnection,
    user_id: int,
    cursor: Cursor,
    *,
    model: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Page[StoredCompletion]:
    """Return a page of completions, by the moment they were made.

    `model` and each pair of `metadata` must be theirs, to the letter. Raises
    `CompletionNotFoundError` for an `after` that is none.
    """
    after = None
    if cursor.after is not None:
        after = await _found(connection, user_id, cursor.after, param="after")
    filters = (None if model is None else _kept(model), metadata or {})
    rows = await store.page(connection, user_id, cursor, after, filters)
    shown = rows[: cursor.limit]
    found = await store.metadata_of(connection, [row.id for row in shown]) if shown else {}
    return Page([_completion(row, found[row.id]) for row in shown], len(rows) > cursor.limit)


async def expire(tx: AsyncConnection, now: float, limit: int) -> int:
    """Delete up to `limit` completions whose time is over; `now` in seconds. Return how many."""
    return await store.expire(tx, to_millis(now), limit)


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` completions of a user; return how many."""
    return await store.forget(tx, user_id, limit)


async def _found(
    connection: AsyncConnection,
    user_id: int,
    id_: str,
    *,
    lock: bool = False,
    param: str | None = None,
) -> Row[Any]:
    row = await store.one(connection, user_id, id_, lock=lock) if is_name(id_) else None
    if row is None:
        raise CompletionNotFoundError(id_, param=param)
    return row


def _kept(model: str) -> str:
    """Return as much of a model's name as is kept: no model has a longer one, or one with a NUL."""
    return model.replace("\0", "")[:_MODEL]


def _completion(row: Row[Any], metadata: Mapping[str, str]) -> StoredCompletion:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    for name in _MOMENTS:
        values[name] = None if values[name] is None else to_seconds(values[name])
    return StoredCompletion(**values, metadata=metadata)
