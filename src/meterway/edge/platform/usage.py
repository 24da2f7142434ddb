"""What calls used: POST `/api/v1/user/usage/list` and `/summary`, GET `/export`.

The log is read in pages, newest first, each after the last call of the one before; so a call is
seen once however many end meanwhile. A key that is no admin key sees its own calls alone, and no
sums: those are the whole user's.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.cycle import GONE, Gone
from meterway.edge.http import Headers, Receive, Scope, Send, request_of
from meterway.edge.platform.envelope import ADMIN, ANY_KEY, Door, Endpoint, Rule, admitted
from meterway.edge.platform.forms import BadFieldError, Fields, query_fields
from meterway.edge.platform.receipts import line
from meterway.edge.server import Route
from meterway.keys import service as keys
from meterway.keys.errors import KeyNotFoundError
from meterway.kit import ids, money
from meterway.ledger.charges.types import By, Charge, Filters, Sum
from meterway.limits.types import Kind

LIST_PATH, SUMMARY_PATH = "/api/v1/user/usage/list", "/api/v1/user/usage/summary"
EXPORT_PATH = "/api/v1/user/usage/export"
_USUAL, _MOST = 50, 1000
_DAY = 86_400  # seconds
FIRST_DAY, LAST_DAY = 0, 3_000_000  # before and after any call, in days since the epoch
_EXPORT = Rule(pace=Kind.EXPORT_USAGE)
_CSV_HEADERS: Headers = (
    (b"content-type", b"text/csv; charset=utf-8"),
    (b"content-disposition", b'attachment; filename="usage.csv"'),
    (b"cache-control", b"no-store"),
)
_COLUMNS = (
    "id",
    "at",
    "key_id",
    "model",
    "input_tokens",
    "output_tokens",
    "fee",
    "fee_usd",
    "outcome",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ReadPage(Protocol):
    """Reads posted calls of a user, newest first."""

    async def __call__(
        self,
        connection: AsyncConnection,
        user_id: int,
        before: int | None,
        limit: int,
        filters: Filters,
        /,
    ) -> Sequence[Charge]:
        """Return at most `limit` calls that fit, with ids below `before`."""


class ReadSums(Protocol):
    """Reads sums of a user's posted calls."""

    async def __call__(
        self,
        connection: AsyncConnection,
        user_id: int,
        by: By,
        since: int,
        until: int,
        /,
    ) -> Sequence[Sum]:
        """Return one sum for each day, model or key, over UTC days since the epoch.

        The day `until` is not included; sums by day come in the order of days.
        """


class UsageDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of usage work with."""

    engine: AsyncEngine
    pepper: bytes
    page: ReadPage
    summary: ReadSums
    units_per_usd: int


def routes(door: Door, desk: UsageDesk) -> Sequence[Route]:
    """Return the routes of usage."""
    office = _Office(desk)
    return [
        Route("POST", LIST_PATH, Endpoint(door, ANY_KEY, office.listed)),
        Route("POST", SUMMARY_PATH, Endpoint(door, ADMIN, office.summary)),
        Route("GET", EXPORT_PATH, Export(door, desk)),
    ]


class _Office:
    """What the endpoints in the envelope do."""

    def __init__(self, desk: UsageDesk) -> None:
        self._desk = desk

    async def listed(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Return one page of the log, and where the next begins."""
        desk = self._desk
        limit = fields.whole("limit", 1, _MOST) or _USUAL
        before = _before(fields)
        async with reading(desk.engine) as connection:
            filters = await _filters(connection, desk.pepper, caller, fields)
            found = await desk.page(connection, caller.user_id, before, limit + 1, filters)
        page = found[:limit]
        more = len(found) > limit
        return {
            "calls": [line(charge, desk.units_per_usd) for charge in page],
            "next_before": ids.request_id(page[-1].call_id) if more else None,
        }

    async def summary(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Return sums by day, model or key, and the sum of them."""
        by = _by(fields)
        since, until = fields.day("from"), fields.day("to", up=True)
        async with reading(self._desk.engine) as connection:
            sums = await self._desk.summary(
                connection,
                caller.user_id,
                by,
                FIRST_DAY if since is None else since,
                LAST_DAY if until is None else until,
            )
        units = self._desk.units_per_usd
        return {
            "by": by,
            "rows": [_named(one, by) | _figures([one], units) for one in sums],
            "total": _figures(sums, units),
        }


class Export:
    """Streams the log as CSV, a page at a time, each read in a moment of its own."""

    def __init__(self, door: Door, desk: UsageDesk) -> None:
        self._door = door
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await admitted(scope, self._door, _EXPORT)
        fields = query_fields(scope["query_string"])
        if fields.text("format") not in {None, "csv"}:
            raise BadFieldError("format", "is csv")
        filters, page = await self._door.unbroken(self._first(caller, fields))
        headers = [*request_of(scope).head, *_CSV_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_piece(send, csv_lines([_COLUMNS]))
        gone: Gone = scope["extensions"][GONE]
        while page and not gone.happened:
            await _send_piece(send, self._lines(page))
            page = await self._door.unbroken(self._page(caller, page[-1].call_id, filters))
        await send({"type": "http.response.body", "body": b""})

    async def _first(self, caller: Principal, fields: Fields) -> tuple[Filters, Sequence[Charge]]:
        async with reading(self._desk.engine) as connection:
            filters = await _filters(connection, self._desk.pepper, caller, fields)
        return filters, await self._page(caller, _before(fields), filters)

    async def _page(
        self, caller: Principal, before: int | None, filters: Filters
    ) -> Sequence[Charge]:
        async with reading(self._desk.engine) as connection:
            return await self._desk.page(connection, caller.user_id, before, _MOST, filters)

    def _lines(self, page: Sequence[Charge]) -> bytes:
        rows = [line(charge, self._desk.units_per_usd) for charge in page]
        return csv_lines([[row[column] for column in _COLUMNS] for row in rows])


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


def csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows as CSV (RFC 4180); no text is left that a spreadsheet would compute."""
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


async def _filters(
    connection: AsyncConnection, pepper: bytes, caller: Principal, fields: Fields
) -> Filters:
    """Read which calls are asked for. Raises `KeyNotFoundError` for a key not the caller's."""
    name = fields.text("key")
    key_id = None if caller.is_admin else caller.key_id
    if name is not None:
        asked = await keys.owned(connection, pepper, caller.user_id, name, deleted=True)
        if key_id not in {None, asked.id}:
            raise KeyNotFoundError("This key sees its own calls alone.", param="key")
        key_id = asked.id
    return Filters(
        model=fields.text("model"),
        key_id=key_id,
        since=fields.moment("from"),
        until=fields.moment("to"),
    )


def _before(fields: Fields) -> int | None:
    text = fields.text("before")
    if text is None:
        return None
    call_id = ids.call_id_of(text)
    if call_id is None:
        raise BadFieldError("before", "is the id of a call, `req_` and sixteen hex digits")
    return call_id


def _by(fields: Fields) -> By:
    try:
        return By(fields.text("by") or By.DAY)
    except ValueError:
        raise BadFieldError("by", f"is one of {', '.join(By)}") from None


def _named(one: Sum, by: By) -> dict[str, Any]:
    match by:
        case By.DAY:
            day = datetime.fromtimestamp(int(one.of) * _DAY, UTC).date()
            return {"day": day.isoformat()}
        case By.MODEL:
            return {"model": str(one.of)}
        case By.KEY:
            return {"key_id": str(one.of)}


def _figures(sums: Sequence[Sum], units_per_usd: int) -> dict[str, Any]:
    price = sum(one.price for one in sums)
    return {
        "calls": sum(one.calls for one in sums),
        "input_tokens": sum(one.input_tokens for one in sums),
        "output_tokens": sum(one.output_tokens for one in sums),
        "fee": money.units(price, units_per_usd),
        "fee_usd": money.shown(price),
    }
