"""GET `/v1/dashboard/billing/subscription` and `/usage`, which chat programs show a balance with.

OpenAI had these for its own page and documents them no more; the shape is what programs read:
`hard_limit_usd` less `total_usage` (in cents) is what is left. So that this holds whatever dates a
program asks for, usage counts from the beginning, as in other gateways; `daily_costs` alone
follow the dates.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.edge.platform.account import ReadPots
from meterway.edge.platform.envelope import ANY_KEY, Door, admitted
from meterway.edge.platform.forms import query_fields
from meterway.edge.platform.usage import FIRST_DAY, LAST_DAY, ReadSums
from meterway.edge.server import Route
from meterway.keys import service as keys
from meterway.keys.types import Key
from meterway.kit import json
from meterway.kit.errors import NotFoundError
from meterway.kit.money import NANOS_PER_USD, Nanos
from meterway.ledger.books.types import Pots
from meterway.ledger.charges.types import By, Sum

SUBSCRIPTION_PATH = "/v1/dashboard/billing/subscription"
USAGE_PATH = "/v1/dashboard/billing/usage"
_NANOS_PER_CENT = NANOS_PER_USD // 100
_NO_LIMIT: Nanos = 100_000_000 * NANOS_PER_USD  # what programs read as none
_DAY = 86_400  # seconds


class BillingDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of billing work with."""

    engine: AsyncEngine
    pots: ReadPots
    summary: ReadSums


def routes(door: Door, desk: BillingDesk) -> Sequence[Route]:
    """Return the routes of billing."""
    return [
        Route("GET", SUBSCRIPTION_PATH, Subscription(door, desk)),
        Route("GET", USAGE_PATH, Usage(door, desk)),
    ]


class _Standing(msgspec.Struct, frozen=True):
    """What a key, or where it has no bound its user, spent so far, and may spend yet."""

    key: Key
    used: Nanos
    left: Nanos | None
    days: Sequence[Sum]


class Subscription:
    """The ASGI handler of the limit."""

    def __init__(self, door: Door, desk: BillingDesk) -> None:
        self._door = door
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await admitted(scope, self._door, ANY_KEY)
        standing = await self._door.unbroken(_standing(caller, self._desk))
        limit = _NO_LIMIT if standing.left is None else standing.used + standing.left
        dollars = limit / NANOS_PER_USD
        value = {
            "object": "billing_subscription",
            "has_payment_method": True,
            "canceled": False,
            "soft_limit_usd": dollars,
            "hard_limit_usd": dollars,
            "system_hard_limit_usd": dollars,
            "access_until": int(standing.key.expires_at or 0),
        }
        await _answer(scope, send, value)


class Usage:
    """The ASGI handler of what was used."""

    def __init__(self, door: Door, desk: BillingDesk) -> None:
        self._door = door
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await admitted(scope, self._door, ANY_KEY)
        fields = query_fields(scope["query_string"])
        since, until = fields.day("start_date"), fields.day("end_date", up=True)
        standing = await self._door.unbroken(_standing(caller, self._desk))
        days = [one for one in standing.days if _within(int(one.of), since, until)]
        value = {
            "object": "list",
            "daily_costs": [_day(one) for one in days],
            "total_usage": standing.used / _NANOS_PER_CENT,
        }
        await _answer(scope, send, value)


async def _standing(caller: Principal, desk: BillingDesk) -> _Standing:
    async with reading(desk.engine) as connection:
        key = await keys.by_id(connection, caller.key_id)
        if key is None:
            raise NotFoundError("There is no such key any more.")
        pots = (await desk.pots(connection, [caller.user_id])).get(caller.user_id, Pots())
        days = await desk.summary(connection, caller.user_id, By.DAY, FIRST_DAY, LAST_DAY)
    wallet = None if caller.postpaid else max(pots.free + pots.paid, 0)
    if key.max_fee:
        bound = max(key.max_fee - key.used_fee, 0)
        return _Standing(key, key.used_fee, bound if wallet is None else min(bound, wallet), ())
    return _Standing(key, sum(one.price for one in days), wallet, days)


def _within(day: int, since: int | None, until: int | None) -> bool:
    return (since is None or day >= since) and (until is None or day < until)


def _day(one: Sum) -> dict[str, Any]:
    cents = one.price / _NANOS_PER_CENT
    return {
        "timestamp": float(int(one.of) * _DAY),
        "line_items": [{"name": "Calls", "cost": cents}],
    }


async def _answer(scope: Scope, send: Send, value: dict[str, Any]) -> None:
    headers = [*request_of(scope).head, JSON_TYPE, (b"cache-control", b"no-store")]
    await send_reply(send, 200, headers, json.encode(value))
