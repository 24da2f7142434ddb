"""What can be done with the price book: load, set, multiply, and bring in line with what ships.

Rows are never changed: a new price is a new row with its own beginning, so a receipt can always be
computed again. Every writer first moves the book's version, which other writers wait for.
"""

import math
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, time
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.catalog.book import Book
from meterway.catalog.prices import checks, store
from meterway.catalog.prices.errors import PriceHoleError, PriceOverlapError
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import Kind, NewPrice, Origin, Price, Seed, Tariff
from meterway.db import versions

_DATA = Path(__file__).parent.parent / "data"
_FILES = ("prices.json", "prices_kept.json")


def shipped() -> list[Seed]:
    """Return the list prices that ship with this version."""
    return [
        seed
        for name in _FILES
        for seed in msgspec.json.decode((_DATA / name).read_bytes(), type=list[Seed])
    ]


async def load(connection: AsyncConnection) -> Book:
    """Read the whole book."""
    return Book(await store.every(connection), await store.factors(connection))


async def set_price(
    tx: AsyncConnection,
    new: NewPrice,
    catalog: Catalog,
    *,
    listed: Collection[str] = (),
    now: float,
) -> Price:
    """Set what a model costs from now on, or from a moment to come; return the row.

    `listed` are the names channels list, which may be priced as the catalogue's may. Raises
    `BadPriceError`, `UnknownModelError`, `PriceHoleError` for a beginning in the past, or in the
    future where the model has no price until then, and `PriceOverlapError` where an operator's
    price begins at the same moment.
    """
    name = checks.name_of(new.model, catalog, listed)
    checks.check_tariff(new.tariff)
    begins = _moment(now if new.effective_at is None else new.effective_at)
    await versions.bump(tx, versions.PRICES)
    known = catalog.find(name)
    rows = await store.every(tx, {name, known.id if known else name})
    if begins < _moment(now):
        raise PriceHoleError(
            "A price cannot begin in the past: calls made since would have two. Leave the moment "
            "out to begin now."
        )
    if begins > now and not any(row.effective_at <= now for row in rows):
        raise PriceHoleError(
            f"'{name}' has no price until then, so nobody could call it; set one that begins now "
            "first."
        )
    own = {row.effective_at for row in rows if row.model == name and row.origin is Origin.OPERATOR}
    if new.effective_at is not None and begins in own:
        raise PriceOverlapError(
            f"A price of '{name}' begins at that moment already; choose another moment."
        )
    return await _added(tx, name, new.tariff, begins, Origin.OPERATOR, new.source, now)


async def set_multiplier(  # noqa: PLR0913 - a row of three, and who knows its name
    tx: AsyncConnection,
    kind: Kind,
    name: str,
    ppm: int,
    catalog: Catalog,
    *,
    known: Collection[str] = (),
) -> str:
    """Set what list prices are multiplied by, in millionths; return the name it is kept under.

    `known` are the names of that kind: of models those that channels list, of others all there
    are, or none where any will do. Raises `BadMultiplierError` and `UnknownModelError`.
    """
    checks.check_multiplier(kind, name, ppm)
    if kind is Kind.MODEL:
        name = checks.name_of(name, catalog, known)
    else:
        name = checks.check_among(kind, name, known)
    await versions.bump(tx, versions.PRICES)
    await store.set_factor(tx, kind, name, ppm)
    return name


async def sync(tx: AsyncConnection, seeds: Iterable[Seed], *, now: float) -> list[Price]:
    """Bring the book in line with list prices; return the rows that were new.

    A row is added where a list price differs from the last seed's; it begins now, or on the day
    the vendor announced. What an operator set stays and stands above. Raises `BadPriceError`.
    """
    listed = list(seeds)
    for seed in listed:
        checks.check_tariff(seed.tariff)
    if not _news(await store.every(tx), listed, now):
        return []
    await versions.bump(tx, versions.PRICES)
    return [
        await _added(tx, seed.model, seed.tariff, begins, Origin.SEED, seed.source, now)
        for seed, begins in _news(await store.every(tx), listed, now)  # now nobody else writes
    ]


async def _added(  # noqa: PLR0913, PLR0917 - the columns of one row
    tx: AsyncConnection,
    model: str,
    tariff: Tariff,
    begins: float,
    origin: Origin,
    source: str,
    now: float,
) -> Price:
    new = Price(
        id=0, model=model, effective_at=begins, tariff=tariff, origin=origin, source=source[:255]
    )
    return msgspec.structs.replace(new, id=await store.add(tx, new, now=now))


def _news(rows: Iterable[Price], seeds: Iterable[Seed], now: float) -> list[tuple[Seed, float]]:
    """Return the seeds the book does not say yet, and when each begins."""
    known = [row for row in rows if row.origin is Origin.SEED]
    book = Book(known)
    planned = {(row.model, row.effective_at): row.tariff for row in known}
    current: dict[str, Seed] = {}
    news = []
    for seed in sorted(seeds, key=_announced):
        if _announced(seed) <= now:
            current[seed.model] = seed  # of those that began, the last counts
        elif planned.get((seed.model, _announced(seed))) != seed.tariff:
            news.append((seed, _announced(seed)))
    for seed in current.values():
        last = book.price_of(seed.model, now)
        if last is None or last.tariff != seed.tariff:
            news.append((seed, _moment(now)))
    return news


def _announced(seed: Seed) -> float:
    if seed.begins is None:
        return 0.0
    return datetime.combine(seed.begins, time(), UTC).timestamp()


def _moment(seconds: float) -> float:
    """Return the last whole millisecond, as rows keep it: what begins now has begun."""
    return math.floor(seconds * 1000) / 1000
