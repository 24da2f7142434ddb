"""GET /api/v1/pay/model-rates: what the models a key may use cost, and for whom it is multiplied.

The path is the reference's, the fields are ours: per model the list price in dollars a million
tokens as decimal strings, its multiplier, those of tiers and billing channels, the moment from
which the price holds, and its source.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.catalog.listing import factor, factors, in_dollars
from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.kit import json
from meterway.metering.quotes import Listing

PATH: Final = "/api/v1/pay/model-rates"
Listed: TypeAlias = Callable[[Principal], Sequence[Listing]]


class ModelRates:
    """Serves the list; `listed` returns the prices of a caller's models in the order to list."""

    def __init__(self, authenticator: Authenticator, listed: Listed) -> None:
        self._authenticator = authenticator
        self._listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await caller_of(scope, self._authenticator)
        rates = [_facts(listing) for listing in self._listed(caller)]
        await _answer(scope, send, rates)


async def _answer(scope: Scope, send: Send, data: Any) -> None:
    body = json.encode({"statusCode": 200, "message": "OK", "data": data})
    headers = [*request_of(scope).head, JSON_TYPE, (b"cache-control", b"no-store")]
    await send_reply(send, 200, headers, body)


def _facts(listing: Listing) -> dict[str, Any]:
    price = listing.price
    return {
        "model": listing.model,
        "priced_as": price.model,
        **in_dollars(price.tariff),
        "multiplier": factor(listing.multiplier),
        "tier_multipliers": factors(listing.tiers),
        "billing_multipliers": factors(listing.billing),
        "effective_at": _moment(price.effective_at) if price.id else None,
        "source": price.source,
    }


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
