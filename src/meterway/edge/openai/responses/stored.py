"""Responses that are kept: GET and DELETE /v1/responses/{id}, POST .../cancel, GET .../input_items.

Follows https://platform.openai.com/docs/api-reference/responses; a response that is read as a
stream is told from `starting_after` on, with the same numbers each time: one that was made in the
background as it was told then, any other again.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.edge.openai.responses import background
from meterway.edge.openai.responses.background import Follower
from meterway.edge.openai.shelf import Asked, Endpoint, Shelf, cursor_of, listed, query_of
from meterway.edge.server import Route
from meterway.edge.serving import STREAM_HEADERS
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.openai_responses import head_of, listed_items, output_items, told_again
from meterway.threads.errors import PreviousResponseNotFoundError
from meterway.threads.responses import service as responses
from meterway.threads.types import Cursor, StoredResponse

ONE_PATH = "/v1/responses/{response_id}"
CANCEL_PATH = f"{ONE_PATH}/cancel"
ITEMS_PATH = f"{ONE_PATH}/input_items"
_ENCRYPTED = "reasoning.encrypted_content"
_DIGITS = 18


def routes(shelf: Shelf, keep_alive: float = 15.0) -> Sequence[Route]:
    """Return the routes of kept responses; `keep_alive` in seconds, see `Follower`."""
    office = _Office(shelf)
    return [
        Route("GET", ITEMS_PATH, Endpoint(shelf, office.items)),
        Route("POST", CANCEL_PATH, Endpoint(shelf, office.cancel)),
        Route("GET", ONE_PATH, ShowResponse(shelf, keep_alive)),
        Route("DELETE", ONE_PATH, Endpoint(shelf, office.delete)),
    ]


class ShowResponse:
    """The ASGI handler that shows a response, whole or as a stream."""

    def __init__(self, shelf: Shelf, keep_alive: float) -> None:
        self._shelf = shelf
        self._follower = Follower(shelf, keep_alive)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await caller_of(scope, self._shelf.door.authenticator)
        query = dict(query_of(scope["query_string"]))
        after = _starting_after(query.get("starting_after"))
        work = _found(self._shelf, caller, scope["path_params"]["response_id"])
        found = await self._shelf.door.unbroken(work)
        headers = [*request_of(scope).head, (b"cache-control", b"no-store")]
        if query.get("stream") == "true" and found.background:
            await self._follower.tell(scope, send, headers[:-1], found.id, after)
        elif query.get("stream") == "true":
            told = b"".join(told_again(found.body, after))
            await send_reply(send, 200, [*headers, STREAM_HEADERS[0]], told)
        else:
            await send_reply(send, 200, [*headers, JSON_TYPE], found.body)


class _Office:
    """What each endpoint does."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def delete(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Delete a response; those that continue it lose their history."""
        id_ = _id(asked)
        await self._shelf.writer.put(lambda tx: background.delete(tx, caller.user_id, id_))
        return {"id": id_, "object": "response", "deleted": True}

    async def cancel(self, caller: Principal, asked: Asked) -> msgspec.Raw:
        """Cancel a response that is made in the background; one that ended stays as it is."""
        id_ = _id(asked)
        found = await self._shelf.writer.put(lambda tx: background.cancel(tx, caller.user_id, id_))
        if not found.background:
            raise InvalidRequestError(
                "Only a response made with `background: true` can be cancelled; close the "
                "connection of any other."
            )
        return msgspec.Raw(found.body)

    async def items(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Show a page of what a response was asked with, the latest first unless told otherwise."""
        cursor = cursor_of(asked.query, descending=True)
        found, before = await self._asked_with(caller, _id(asked))
        include = {value for name, value in asked.query if name in {"include", "include[]"}}
        sent = listed_items([*before, *output_items(found.input)], encrypted=_ENCRYPTED in include)
        rows = [(head_of(item).id or "", item) for item in sent]
        page, more = _page(rows[::-1] if cursor.descending else rows, cursor)
        return listed(page, more=more)

    async def _asked_with(
        self, caller: Principal, id_: str
    ) -> tuple[StoredResponse, list[msgspec.Raw]]:
        """Return a response and what was said before it, as far as that is kept."""
        async with reading(self._shelf.engine) as connection:
            found = await responses.get(connection, caller.user_id, id_)
            if found.previous_id is None:
                return found, []
            try:
                said = await responses.history(connection, caller.user_id, found.previous_id)
            except PreviousResponseNotFoundError:
                return found, []
            return found, output_items(said)


def _page(
    rows: Sequence[tuple[str, msgspec.Raw]], cursor: Cursor
) -> tuple[Sequence[tuple[str, msgspec.Raw]], bool]:
    """Return the rows that `cursor` asks for, and whether others come behind them."""
    start = 0
    if cursor.after is not None:
        start = 1 + next((i for i, (id_, _) in enumerate(rows) if id_ == cursor.after), len(rows))
        if start > len(rows):
            raise InvalidRequestError(
                "`after` is the id of an item this response was asked with.", param="after"
            )
    end = start + cursor.limit
    return rows[start:end], end < len(rows)


async def _found(shelf: Shelf, caller: Principal, id_: str) -> StoredResponse:
    async with reading(shelf.engine) as connection:
        return await responses.get(connection, caller.user_id, id_)


def _id(asked: Asked) -> str:
    return asked.path["response_id"]


def _starting_after(text: str | None) -> int:
    """Read the number of the last event a client has, -1 where it has none."""
    if text is None:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidRequestError(
            "`starting_after` is the number of an event.", param="starting_after"
        )
    return int(text)
