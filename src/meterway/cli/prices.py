"""`meterway price …`."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts.types import Tier as MemberTier
from meterway.catalog.book import Book
from meterway.catalog.listing import factor, in_dollars, millionths
from meterway.catalog.prices import service as prices
from meterway.catalog.prices.errors import UnknownModelError
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import FREE, Kind, NewPrice, Price, Rates, Tariff, Tier
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import opened
from meterway.cli.moments import read, shown
from meterway.db.engine import reading, transaction
from meterway.edge import forwarding
from meterway.kit.clock import SystemClock
from meterway.kit.money import dollars
from meterway.metering.quotes import Pricing
from meterway.routing import service as routing
from meterway.settings import Settings

_RATES = Rates.__struct_fields__
_COLUMNS = ("model", "input", "output", "cache_read", "multiplier", "origin", "effective_at")


@click.group()
def price() -> None:
    """Show and set what models cost, and what multiplies it."""


@price.command()
@common
def sync(frame: Frame) -> None:
    """Take over this version's list prices; what an operator set stays. `serve` does it too."""
    added = run(_sync(frame.settings()))
    text = f"{len(added)} list prices are new." if added else "There was nothing to do."
    frame.say({"added": [row.model for row in added]}, text)


async def _sync(settings: Settings) -> list[Price]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        return await prices.sync(tx, prices.shipped(), now=place.clock.now())


@price.command()
@click.argument("model", required=False)
@common
def show(frame: Frame, model: str | None) -> None:
    """Show what models cost now in dollars a million tokens; of one MODEL every price it had."""
    book = run(_book(frame.settings()))
    now = SystemClock().now()
    if model is None:
        current = (book.price_of(name, now) for name in book.models())
        rows = [row for row in current if row is not None]
    else:
        rows = _history(book, model, now)
    frame.say_table([_facts(row, book) for row in rows], _COLUMNS)


def _history(book: Book, model: str, now: float) -> list[Price]:
    """Return every row of a model: by its own name, else by the one it is priced by."""
    if rows := book.history(model):
        return rows
    quote = Pricing(Catalog(), book).quote(model, at=now)
    if quote is None:
        raise UnknownModelError(
            f"'{model}' has no price; `meterway price set {model} --input … --output …` sets one."
        )
    return book.history(quote.price.model)


async def _book(settings: Settings) -> Book:
    async with opened(settings) as place, reading(place.engine) as connection:
        return await prices.load(connection)


def _facts(row: Price, book: Book) -> dict[str, Any]:
    tariff = in_dollars(row.tariff)
    rates = tariff.pop("rates")
    return {
        "id": str(row.id),
        "model": row.model,
        **{name: rates.get(name) for name in _RATES},
        **tariff,
        "multiplier": factor(book.multiplier(Kind.MODEL, row.model)),
        "origin": str(row.origin),
        "source": row.source,
        "effective_at": shown(row.effective_at),
    }


@price.command("set")
@click.argument("model")
@click.option("--input", help="Dollars for a million tokens read.")
@click.option("--output", help="Dollars for a million tokens written.")
@click.option("--cache-read", help="… read from the cache; default: as input.")
@click.option("--cache-write-5m", help="… written to the cache for 5 minutes; default: as input.")
@click.option("--cache-write-1h", help="… for an hour; default: as for 5 minutes.")
@click.option("--input-audio", help="… of sound read; default: as input.")
@click.option("--input-image", help="… of images read; default: as input.")
@click.option("--reasoning", help="… of reasoning; default: as output.")
@click.option("--output-audio", help="… of sound spoken; default: as output.")
@click.option("--request", help="Dollars for each call, whatever it reads and writes.")
@click.option(
    "--above",
    "tiers",
    multiple=True,
    help="Rates of calls that read more: 200000:input=5,output=22.50; may be repeated.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    help="Factor of a service tier: flex=0.5; may be repeated.",
)
@click.option("--free", is_flag=True, help="The model costs nothing.")
@click.option(
    "--effective", help="When it begins: an ISO 8601 moment or a span from now; default: now."
)
@click.option("--source", default="operator", help="Where the figures come from.")
@common
def set_(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    *,
    model: str,
    tiers: tuple[str, ...],
    services: tuple[str, ...],
    request: str | None,
    free: bool,
    effective: str | None,
    source: str,
    **rates: str | None,
) -> None:
    """Set what MODEL costs, in dollars a million tokens; past calls keep their price."""
    given = {name: text for name, text in rates.items() if text is not None}
    if free == bool(given) or (free and (tiers or services or request)):
        raise click.UsageError("Give --input and --output, or --free alone.")
    tariff = FREE if free else _tariff(given, tiers, services, request)
    begins = None if effective is None else read(effective, SystemClock().now())
    new = NewPrice(model=model, tariff=tariff, effective_at=begins, source=source)
    row, book = run(_set(frame.settings(), new))
    frame.say(_facts(row, book), f"{row.model} costs that from {shown(row.effective_at)} on.")


def _tariff(
    rates: Mapping[str, str], tiers: Iterable[str], services: Iterable[str], request: str | None
) -> Tariff:
    return Tariff(
        rates=_rates(rates),
        tiers=tuple(map(_tier, tiers)),
        services={name: millionths(text) for name, text in map(_pair, services)},
        units={} if request is None else {"request": dollars(request)},
    )


def _rates(texts: Mapping[str, str]) -> Rates:
    if missing := {"input", "output"} - texts.keys():
        raise click.UsageError(f"A price needs {' and '.join(sorted(missing))}.")
    return Rates(**{name: dollars(text) for name, text in texts.items()})


def _tier(text: str) -> Tier:
    above, _, rates = text.partition(":")
    pairs = {name.replace("-", "_"): rate for name, rate in map(_pair, rates.split(","))}
    if not (above.isascii() and above.isdigit()) or not pairs.keys() <= set(_RATES):
        raise click.UsageError("A tier is written as 200000:input=5,output=22.50.")
    return Tier(int(above), _rates(pairs))


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()


async def _set(settings: Settings, new: NewPrice) -> tuple[Price, Book]:
    async with opened(settings) as place, transaction(place.engine) as tx:
        listed, now = await _listed(tx), place.clock.now()
        row = await prices.set_price(tx, new, Catalog(), listed=listed, now=now)
        return row, await prices.load(tx)


async def _listed(connection: AsyncConnection) -> frozenset[str]:
    """Return the names channels list for their models, with and without a prefix."""
    rows = await routing.stored(connection)
    prefixed = {f"{row.prefix}/{name}" for row in rows if row.prefix for name in row.models}
    return frozenset(prefixed | {name for row in rows for name in row.models})


@price.command()
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("name")
@click.argument("value")
@common
def multiplier(frame: Frame, kind: str, name: str, value: str) -> None:
    """Multiply list prices by VALUE for a model, a tier of membership or a billing channel."""
    ppm = millionths(value)
    kept = run(_multiply(frame.settings(), Kind(kind), name, ppm))
    facts = {"kind": kind, "name": kept, "multiplier": factor(ppm)}
    frame.say(facts, f"Prices of {kind} {kept} are multiplied by {factor(ppm)}.")


async def _multiply(settings: Settings, kind: Kind, name: str, ppm: int) -> str:
    async with opened(settings) as place, transaction(place.engine) as tx:
        known: Collection[str] = tuple(MemberTier) if kind is Kind.TIER else ()
        if kind is Kind.MODEL:
            known = await _listed(tx)
        elif kind is Kind.BILLING:
            known = (forwarding.CLAUDE_CODE, forwarding.CODEX)
        return await prices.set_multiplier(tx, kind, name, ppm, Catalog(), known=known)
