"""Tariffs and multipliers as people read and write them: decimal text, dollars a million tokens."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meterway.catalog.prices.errors import BadMultiplierError
from meterway.catalog.tariffs import PPM, Rates, Tariff
from meterway.kit.money import Nanos, shown

_FACTOR: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,6}))?", re.ASCII)
_PLACES: Final = 6


def in_dollars(tariff: Tariff) -> dict[str, Any]:
    """Return a tariff with amounts in dollars and factors as decimals; what has no rate is absent.

    Rates stand for a million tokens, units for one of each.
    """
    found: dict[str, Any] = {"rates": _rates(tariff.rates)}
    if tariff.tiers:
        found["tiers"] = [
            {"above": tier.above, "rates": _rates(tier.rates)} for tier in tariff.tiers
        ]
    if tariff.services:
        found["services"] = factors(tariff.services)
    if tariff.units:
        found["units"] = {name: shown(amount) for name, amount in tariff.units.items()}
    return found


def _rates(rates: Rates) -> dict[str, str]:
    known: dict[str, Nanos | None] = msgspec.structs.asdict(rates)
    return {name: shown(rate) for name, rate in known.items() if rate is not None}


def factors(by_name: Mapping[str, int]) -> dict[str, str]:
    """Return millionths as decimals."""
    return {name: factor(ppm) for name, ppm in by_name.items()}


def factor(ppm: int) -> str:
    """Return millionths as a decimal such as `1.5`, without zeros at the end."""
    whole, rest = divmod(ppm, PPM)
    places = f"{rest:0{_PLACES}d}".rstrip("0")
    return f"{whole}.{places}" if places else str(whole)


def millionths(text: str) -> int:
    """Read a decimal such as `1.5`, of up to six places. Raises `BadMultiplierError`."""
    found = _FACTOR.fullmatch(text)
    if found is None:
        raise BadMultiplierError(
            "A factor is a decimal from 0 to 1000 with up to six places, such as 1.25, "
            "without a sign."
        )
    return int(found[1]) * PPM + int((found[2] or "").ljust(_PLACES, "0"))
