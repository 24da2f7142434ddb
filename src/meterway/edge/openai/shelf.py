"""What the endpoints of kept things share: who may ask, the query's page, and lists as OpenAI's."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.types import Principal
from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, read_body, request_of, send_reply
from meterway.edge.platform.envelope import Door
from meterway.kit import json
from meterway.kit.clock import Clock
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.threads.errors import ZeroRetentionError
from meterway.threads.types import Cursor, Retention
from meterway.threads.writer import Writer

MOST: Final = 100
"""Rows of one page."""

_USUAL: Final = 20
_FIELDS: Final = 100
_ORDERS: Final = ("asc", "desc")


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to keep things and to show them; `body_limit` in bytes."""

    door: Door
    engine: AsyncEngine
    writer: Writer
    clock: Clock
    retention: Retention
    body_limit: int


class Asked(msgspec.Struct, frozen=True):
    """One request: the names in its path, its query, and its body where it has one."""

    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: RawObject


Act: TypeAlias = Callable[[Principal, Asked], Coroutine[Any, Any, Any]]


class Endpoint:
    """The ASGI handler of one route: `act` returns the JSON value to answer with.

    With `keeps` it is refused to those whose user or key has zero retention; with `reads` it has
    a body.
    """

    def __init__(self, shelf: Shelf, act: Act, *, keeps: bool = False, reads: bool = False) -> None:
        self._shelf = shelf
        self._act = act
        self._keeps = keeps
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `ZeroRetentionError`, and what `act` raises."""
        shelf, door = self._shelf, self._shelf.door
        caller = await caller_of(scope, door.authenticator)
        if self._keeps and not caller.keeps:
            raise ZeroRetentionError
        body: RawObject = {}
        if self._reads:
            sent = await read_body(scope, receive, shelf.body_limit, door.in_flight)
            body = json.decode_top(sent) if sent.strip() else {}
        asked = Asked(scope.get("path_params", {}), query_of(scope["query_string"]), body)
        value = await door.unbroken(self._act(caller, asked))
        headers = [*request_of(scope).head, JSON_TYPE, (b"cache-control", b"no-store")]
        await send_reply(send, 200, headers, json.encode(value))


def cursor_of(query: Sequence[tuple[str, str]], *, descending: bool) -> Cursor:
    """Read `after`, `limit` and `order`; without an order it is `descending` or not.

    Raises `InvalidRequestError`.
    """
    given = dict(query)
    limit, order = given.get("limit", str(_USUAL)), given.get("order")
    digits = limit.isascii() and limit.isdigit() and len(limit) <= len(str(MOST))
    if not digits or int(limit) > MOST:  # 0 asks for an empty page, and vendors' own suites do
        raise InvalidRequestError(f"`limit` is a whole number up to {MOST}.", param="limit")
    if order is not None and order not in _ORDERS:
        raise InvalidRequestError("`order` is `asc` or `desc`.", param="order")
    if order is not None:
        descending = order == "desc"
    return Cursor(given.get("after"), int(limit), descending)


def listed(rows: Sequence[tuple[str, Any]], *, more: bool) -> dict[str, Any]:
    """Return a page as OpenAI's clients read it: rows are ids and what is shown of each."""
    return {
        "object": "list",
        "data": [shown for _, shown in rows],
        "first_id": rows[0][0] if rows else None,
        "last_id": rows[-1][0] if rows else None,
        "has_more": more,
    }


def required(body: RawObject, name: str) -> msgspec.Raw:
    """Return a field of a body. Raises `InvalidRequestError` where it is absent."""
    if name not in body:
        raise InvalidRequestError(f"Missing required parameter: '{name}'.", param=name)
    return body[name]


def query_of(text: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query. Raises `InvalidRequestError`."""
    try:
        return parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise InvalidRequestError(f"The query has more than {_FIELDS} fields.") from None
