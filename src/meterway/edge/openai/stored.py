"""/v1/chat/completions and below: the completions made with `store: true`.

Follows https://platform.openai.com/docs/api-reference/chat/list
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from meterway.auth.types import Principal
from meterway.db.engine import reading, transaction
from meterway.edge.openai.shelf import Asked, Endpoint, Shelf, cursor_of, listed, required
from meterway.edge.server import Route
from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.threads import metadata
from meterway.threads.completions import service as completions
from meterway.threads.types import Cursor, Page, StoredCompletion

PATH = "/v1/chat/completions"
ONE_PATH = f"{PATH}/{{completion_id}}"
MESSAGES_PATH = f"{ONE_PATH}/messages"
_SHOWN_PARTS = frozenset({"text", "image_url"})


def routes(shelf: Shelf) -> Sequence[Route]:
    """Return the routes of stored completions."""
    office = _Office(shelf)
    return [
        Route("GET", PATH, Endpoint(shelf, office.page)),
        Route("GET", MESSAGES_PATH, Endpoint(shelf, office.messages)),
        Route("GET", ONE_PATH, Endpoint(shelf, office.get)),
        Route("POST", ONE_PATH, Endpoint(shelf, office.update, keeps=True, reads=True)),
        Route("DELETE", ONE_PATH, Endpoint(shelf, office.delete)),
    ]


class _Office:
    """What each endpoint does."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def page(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Show a page of completions, the oldest first unless told otherwise."""
        cursor = cursor_of(asked.query, descending=False)
        wanted = {
            name.removeprefix("metadata[").removesuffix("]"): value
            for name, value in asked.query
            if name.startswith("metadata[") and name.endswith("]")
        }
        async with reading(self._shelf.engine) as connection:
            found = await completions.page(
                connection,
                caller.user_id,
                cursor,
                model=dict(asked.query).get("model"),
                metadata=metadata.checked(wanted),
            )
        return shown_page(found)

    async def get(self, caller: Principal, asked: Asked) -> RawObject:
        """Show a completion."""
        return shown(await self._found(caller, asked))

    async def update(self, caller: Principal, asked: Asked) -> RawObject:
        """Put metadata in the place of those it has."""
        told = metadata.read(required(asked.body, "metadata"))
        async with transaction(self._shelf.engine) as tx:
            return shown(await completions.update(tx, caller.user_id, _id(asked), told))

    async def delete(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Delete a completion."""
        async with transaction(self._shelf.engine) as tx:
            await completions.delete(tx, caller.user_id, _id(asked))
        return deleted(_id(asked))

    async def messages(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Show a page of the request's messages, the first one first unless told otherwise."""
        cursor = cursor_of(asked.query, descending=False)
        found = await self._found(caller, asked)
        sent = msgspec.json.decode(found.messages, type=list[RawObject])
        rows = [(f"{found.id}-{i}", message) for i, message in enumerate(sent)]
        part, more = _after(rows[::-1] if cursor.descending else rows, cursor)
        return listed([(id_, _message(id_, message)) for id_, message in part], more=more)

    async def _found(self, caller: Principal, asked: Asked) -> StoredCompletion:
        async with reading(self._shelf.engine) as connection:
            return await completions.get(connection, caller.user_id, _id(asked))


def shown(one: StoredCompletion) -> RawObject:
    """Return a completion as it is shown: its body with its metadata."""
    return {**json.decode_top(one.body), "metadata": json.raw(one.metadata)}


def shown_page(page: Page[StoredCompletion]) -> dict[str, Any]:
    """Return a page of completions as OpenAI's clients read it."""
    return listed([(one.id, shown(one)) for one in page.rows], more=page.more)


def deleted(id_: str) -> dict[str, Any]:
    """Return what tells that a completion is gone."""
    return {"id": id_, "object": "chat.completion.deleted", "deleted": True}


def _id(asked: Asked) -> str:
    return asked.path["completion_id"]


def _after(
    rows: list[tuple[str, RawObject]], cursor: Cursor
) -> tuple[list[tuple[str, RawObject]], bool]:
    """Return the page of rows that `cursor` asks for, and whether others come behind it."""
    start = 0
    if cursor.after is not None:
        start = 1 + next((i for i, (id_, _) in enumerate(rows) if id_ == cursor.after), len(rows))
        if start > len(rows):
            raise InvalidRequestError(
                "`after` is the id of a message of this completion.", param="after"
            )
    end = start + cursor.limit
    return rows[start:end], end < len(rows)


def _message(id_: str, sent: RawObject) -> dict[str, Any]:
    """Return a message as it is shown: a list of parts stands in `content_parts`."""
    content = sent.get("content", msgspec.Raw(b"null"))
    parts = None
    if bytes(content).startswith(b"["):
        every = msgspec.json.decode(content, type=list[RawObject])
        parts = [part for part in every if _kind(part) in _SHOWN_PARTS]
        content = msgspec.Raw(b"null")
    return {"name": None, **sent, "id": id_, "content": content, "content_parts": parts}


def _kind(part: RawObject) -> str | None:
    kind = msgspec.json.decode(part.get("type", b"null"))
    return kind if isinstance(kind, str) else None
