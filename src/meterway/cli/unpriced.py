"""Which models channels have that nobody can call, because they have no price."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.catalog.prices import service as prices
from meterway.catalog.service import Catalog
from meterway.kit.clock import SystemClock
from meterway.metering.quotes import Pricing
from meterway.routing.health import Health
from meterway.routing.router import Router
from meterway.upstreams.types import Channel

_NAMED = 3


async def unpriced(
    connection: AsyncConnection, channels: Sequence[Channel]
) -> dict[str, list[str]]:
    """Return the models without a price by the channels that have them."""
    clock, catalog = SystemClock(), Catalog()
    pricing = Pricing(catalog, await prices.load(connection))
    now = clock.now()
    router = Router(
        channels, catalog, Health(clock), priced=lambda model: pricing.priced(model, now)
    )
    return router.unpriced()


def told(models: Sequence[str]) -> tuple[str, str]:
    """Return in words which models have no price, and the command that gives one to the first."""
    named = ", ".join(models[:_NAMED])
    more = f" and {len(models) - _NAMED} more" if len(models) > _NAMED else ""
    are = "have" if len(models) > 1 else "has"
    command = f"`meterway price set {models[0]} --input DOLLARS --output DOLLARS`"
    return f"{named}{more} {are} no price, so nobody is offered them", command
