"""Keeping responses, and the history that a response continues.

Follows https://platform.openai.com/docs/api-reference/responses. Everything is the owner's:
another user's id is one that does not exist.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.db.rows import Values
from meterway.kit.ids import dated_id
from meterway.threads.errors import (
    HistoryTooLongError,
    PreviousResponseNotFoundError,
    ResponseNotFoundError,
)
from meterway.threads.items import chained
from meterway.threads.naming import is_name
from meterway.threads.responses import store
from meterway.threads.types import StoredResponse

DEEPEST: Final = 4096
"""How many responses one history may be made of."""

LARGEST: Final = 64 * 1024 * 1024
"""How many bytes of items one history may have, where the caller names no other bound."""

_MOMENTS: Final = ("created_at", "expires_at")
_CHANGING: Final = ("status", "body", "output")
INTO: Final = store.INTO
"""Where rows of `row_of` go."""


def new_id(now: float) -> str:
    """Return the id of a response that begins at `now`, in seconds since the epoch."""
    return dated_id("resp", now)


async def add(tx: AsyncConnection, response: StoredResponse) -> None:
    """Keep a response."""
    await add_all(tx, [response])


async def add_all(tx: AsyncConnection, some: Sequence[StoredResponse]) -> None:
    """Keep responses."""
    await store.add(tx, [row_of(response) for response in some])


def row_of(response: StoredResponse) -> Values:
    """Return the row that a response is kept as, for `INTO`."""
    ends = response.expires_at
    stored = msgspec.structs.replace(
        response,
        created_at=to_millis(response.created_at),
        expires_at=None if ends is None else to_millis(ends),
    )
    return msgspec.structs.astuple(stored)


async def replace(tx: AsyncConnection, response: StoredResponse) -> None:
    """Keep what became of a response: its status, body and output.

    Raises `ResponseNotFoundError` where its owner deleted it meanwhile.
    """
    values = {name: getattr(response, name) for name in _CHANGING}
    if not await store.change(tx, response.user_id, response.id, values):
        raise ResponseNotFoundError(response.id)


async def get(connection: AsyncConnection, user_id: int, id_: str) -> StoredResponse:
    """Return a response. Raises `ResponseNotFoundError`."""
    row = await store.one(connection, user_id, id_) if is_name(id_) else None
    if row is None:
        raise ResponseNotFoundError(id_)
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    for name in _MOMENTS:
        values[name] = None if values[name] is None else to_seconds(values[name])
    return StoredResponse(**values)


async def delete(tx: AsyncConnection, user_id: int, id_: str) -> None:
    """Delete a response; those that continue it lose their history.

    Raises `ResponseNotFoundError`.
    """
    if not is_name(id_) or not await store.remove(tx, user_id, id_):
        raise ResponseNotFoundError(id_)


async def history(
    connection: AsyncConnection, user_id: int, id_: str, *, largest: int = LARGEST
) -> bytes:
    """Return all that was said up to a response, it included: one JSON array of items.

    Oldest first: each turn's own input, then its output. `largest` bounds the bytes. Raises
    `PreviousResponseNotFoundError` where the response, or one before it, is not there, and
    `HistoryTooLongError`.
    """
    rows = await store.chain(connection, user_id, id_, DEEPEST, largest) if is_name(id_) else ()
    if not rows:
        raise PreviousResponseNotFoundError(id_)
    depth, missing = rows[0][0], rows[0][2]
    if rows[-1][0] != 0 or rows[0][1] > largest or (missing is not None and depth >= DEEPEST):
        raise HistoryTooLongError(
            f"The conversation before '{id_}' is longer than {DEEPEST} responses or {largest} "
            "bytes; begin anew with what matters of it.",
            param="previous_response_id",
        )
    if missing is not None:
        raise PreviousResponseNotFoundError(missing)
    return chained([array for row in rows for array in row[3:5]])


async def expire(tx: AsyncConnection, now: float, limit: int) -> int:
    """Delete up to `limit` responses whose time is over; `now` in seconds. Return how many."""
    return await store.expire(tx, to_millis(now), limit)


async def forget(tx: AsyncConnection, user_id: int, limit: int) -> int:
    """Delete up to `limit` responses of a user; return how many."""
    return await store.forget(tx, user_id, limit)
