"""GET /api/v1/pay/model-rates: what the models a key may use cost, and for whom it is multiplied.

The path is the reference's, the fields are ours: per model the list price in dollars a million
tokens as decimal strings, its multiplier, those of tiers and billing channels, the moment from
which the price holds, and its source.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from meterway.auth.types import Principal
from meterway.catalog.listing import factor, factors, in_dollars
from meterway.edge.http import Receive, Scope, Send
from meterway.edge.platform.envelope import ANY_KEY, Door, admitted, answer
from meterway.edge.server import Route
from meterway.kit.moments import shown
from meterway.metering.quotes import Listing

PATH: Final = "/api/v1/pay/model-rates"
Listed: TypeAlias = Callable[[Principal], Sequence[Listing]]


def routes(door: Door, listed: Listed) -> Sequence[Route]:
    """Return the route of rates; `listed` gives the prices of a caller's models in their order."""
    return [Route("GET", PATH, ModelRates(door, listed))]


class ModelRates:
    """The ASGI handler of the list."""

    def __init__(self, door: Door, listed: Listed) -> None:
        self._door = door
        self._listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await admitted(scope, self._door, ANY_KEY)
        await answer(scope, send, [_facts(listing) for listing in self._listed(caller)])


def _facts(listing: Listing) -> dict[str, Any]:
    price = listing.price
    return {
        "model": listing.model,
        "priced_as": price.model,
        **in_dollars(price.tariff),
        "multiplier": factor(listing.multiplier),
        "tier_multipliers": factors(listing.tiers),
        "billing_multipliers": factors(listing.billing),
        "effective_at": shown(price.effective_at) if price.id else None,
        "source": price.source,
    }
