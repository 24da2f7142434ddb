"""What a call is charged by: the tariff of its model, and what multiplies it, from memory."""

import math
from collections.abc import Mapping

import msgspec

from meterway.catalog.book import Book
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import FREE, PPM, Kind, Origin, Price, Resolved, resolve

_KEPT = 4096
_FREE_RATES = resolve(FREE)
_FREE_SOURCE = "engines of one's own and the sandbox cost nothing"


class Quote(msgspec.Struct, frozen=True):
    """What a call is charged by.

    `price` is what the receipt names; `multipliers` are millionths by kind, only those that
    differ from the list price; `factors` are the same for `metering.pricing.price`.
    """

    price: Price
    rates: Resolved
    multipliers: dict[str, int]
    factors: tuple[int, ...]


class Listing(msgspec.Struct, frozen=True):
    """What everybody may know of a model's price; multipliers are millionths by name."""

    model: str
    price: Price
    multiplier: int
    tiers: Mapping[str, int]
    billing: Mapping[str, int]


class Pricing:
    """Quotes over one book at a time; one per process, told of each new book.

    An operator's price counts first, then that nothing is charged for what costs nobody anything,
    then the list price that ships. A name without a price of its own has that of the catalogue's
    model it means; a fine-tuned model is another model, and never has its base's.
    """

    def __init__(self, catalog: Catalog, book: Book | None = None) -> None:
        self._catalog = catalog
        self._quotes: dict[tuple[str, str, str, bool], Quote | None] = {}
        self.book = book or Book()
        self._since = self._until = math.inf

    def replace(self, book: Book) -> None:
        """Follow another book from now on."""
        self.book = book
        self._since = self._until = math.inf

    def quote(
        self, model: str, *, at: float, tier: str = "", billing: str = "", free: bool = False
    ) -> Quote | None:
        """Return what a call for `model` at `at` is charged by, None where it has no price.

        `at` is in seconds since the epoch; `tier` is the caller's membership, `billing` the
        channel billed, empty for the usual one. `free` says that every channel that offers the
        model costs nobody anything.
        """
        if not self._since <= at < self._until:
            self._quotes.clear()
            self._since, self._until = self.book.span(at)
        key = (model, tier, billing, free)
        try:
            return self._quotes[key]
        except KeyError:
            return self._remember(key, at)

    def priced(self, model: str, at: float) -> bool:
        """Whether a call for `model` at `at` has a price without being free."""
        return self._row(model, at, free=False) is not None

    def listing(
        self, model: str, *, at: float, free: bool = False, shown_as: str | None = None
    ) -> Listing | None:
        """Return a model's price and what multiplies it for whom, None where it has none.

        `shown_as` is the name callers know it by, where that is not the one it is priced by.
        """
        price = self._row(model, at, free=free)
        if price is None:
            return None
        return Listing(
            shown_as or model,
            price,
            self._of_model(model),
            self.book.multipliers(Kind.TIER),
            self.book.multipliers(Kind.BILLING),
        )

    def _remember(self, key: tuple[str, str, str, bool], at: float) -> Quote | None:
        if len(self._quotes) >= _KEPT:  # callers choose the names
            self._quotes.clear()
        found = self._quotes[key] = self._made(*key, at)
        return found

    def _made(self, model: str, tier: str, billing: str, free: bool, at: float) -> Quote | None:  # noqa: FBT001 - the parts of a key
        price = self._row(model, at, free=free)
        if price is None:
            return None
        all_ = {
            Kind.MODEL.value: self._of_model(model),
            Kind.TIER.value: self.book.multiplier(Kind.TIER, tier),
            Kind.BILLING.value: self.book.multiplier(Kind.BILLING, billing),
        }
        rates = self.book.rates_of(price) if price.id else _FREE_RATES
        multipliers = {kind: ppm for kind, ppm in all_.items() if ppm != PPM}
        return Quote(price, rates, multipliers, tuple(multipliers.values()))

    def _row(self, model: str, at: float, *, free: bool) -> Price | None:
        rows = [self.book.price_of(name, at) for name in self._names(model)]
        for row in rows:
            if row is not None and row.origin is Origin.OPERATOR:
                return row
        if free:
            return Price(
                id=0,
                model=model,
                effective_at=0.0,
                tariff=FREE,
                origin=Origin.SEED,
                source=_FREE_SOURCE,
            )
        return next((row for row in rows if row is not None), None)

    def _of_model(self, model: str) -> int:
        known = self.book.multipliers(Kind.MODEL)
        return next((known[n] for name in self._names(model) if (n := name.lower()) in known), PPM)

    def _names(self, model: str) -> tuple[str, ...]:
        """Return the names a model's price may stand under, its own first."""
        known = self._catalog.find(model)
        if known is None:
            return (model,)
        return model, f"ft:{known.id}" if model.lower().startswith("ft:") else known.id
