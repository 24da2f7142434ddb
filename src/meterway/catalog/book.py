"""The price book: one moment's snapshot of every price, past and to come, and every multiplier."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from meterway.catalog.tariffs import PPM, Kind, Origin, Price, Resolved, resolve

Multipliers: TypeAlias = Mapping[tuple[Kind, str], int]
_NOTHING: Multipliers = MappingProxyType({})


class Book:
    """Immutable; when a row changes, a new book takes its place. Names are found in any case.

    Of the rows of one model the last in effect counts, an operator's before any that ships.
    `prices` come in any order; of two that begin together, the one with the larger id is later.
    """

    def __init__(self, prices: Iterable[Price] = (), multipliers: Multipliers = _NOTHING) -> None:
        self._rows = {price.id: price for price in prices}
        self._resolved: dict[int, Resolved] = {}
        self._multipliers = {(kind, name.lower()): ppm for (kind, name), ppm in multipliers.items()}
        self._models = _by_model(self._rows.values())
        self._changes = sorted({price.effective_at for price in self._rows.values()})

    def price_of(self, model: str, at: float) -> Price | None:
        """Return the row that prices `model` by exactly this name at `at`, seconds of the epoch."""
        for rows in self._models.get(model.lower(), ()):
            for price in reversed(rows):
                if price.effective_at <= at:
                    return price
        return None

    def row(self, price_id: int) -> Price | None:
        """Return the row a receipt names."""
        return self._rows.get(price_id)

    def rates_of(self, price: Price) -> Resolved:
        """Return a row's rates, made ready once for all the calls it prices."""
        found = self._resolved.get(price.id)
        if found is None:
            found = self._resolved[price.id] = resolve(price.tariff)
        return found

    def multiplier(self, kind: Kind, name: str) -> int:
        """Return a multiplier in millionths: a million where nobody set one."""
        return self._multipliers.get((kind, name.lower()), PPM)

    def multipliers(self, kind: Kind) -> dict[str, int]:
        """Return the multipliers that were set, by lower-case name."""
        return {name: ppm for (of, name), ppm in self._multipliers.items() if of is kind}

    def span(self, at: float) -> tuple[float, float]:
        """Return the moments around `at` between which no price begins; the end is outside."""
        place = bisect_right(self._changes, at)
        since = self._changes[place - 1] if place else -math.inf
        return since, self.next_change(at)

    def next_change(self, at: float) -> float:
        """Return when the next price begins after `at`, in seconds of the epoch, or infinity."""
        place = bisect_right(self._changes, at)
        return self._changes[place] if place < len(self._changes) else math.inf

    def models(self) -> list[str]:
        """Return every name that has a row, as it was written last."""
        return sorted({rows[-1].model for both in self._models.values() for rows in both[:1]})

    def history(self, model: str) -> list[Price]:
        """Return every row of a model, the oldest first."""
        rows = (row for both in self._models.get(model.lower(), ()) for row in both)
        return sorted(rows, key=lambda row: (row.effective_at, row.id))


def _by_model(prices: Iterable[Price]) -> dict[str, tuple[Sequence[Price], ...]]:
    """Return each model's rows by origin, the stronger first, each in the order they begin."""
    found: dict[str, dict[Origin, list[Price]]] = defaultdict(lambda: defaultdict(list))
    for price in sorted(prices, key=lambda price: (price.effective_at, price.id)):
        found[price.model.lower()][price.origin].append(price)
    strongest = (Origin.OPERATOR, Origin.SEED)
    return {
        model: tuple(rows[origin] for origin in strongest if origin in rows)
        for model, rows in found.items()
    }
