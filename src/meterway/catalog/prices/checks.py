"""Whether a tariff or multiplier can be used; every refusal says what would do."""

from collections.abc import Collection
from typing import Final

from meterway.catalog.prices.errors import BadMultiplierError, BadPriceError, UnknownModelError
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import PPM, Kind, Rates, Tariff
from meterway.kit.money import NANOS_PER_USD, shown

_MOST_RATE: Final = 100_000 * NANOS_PER_USD
_MOST_MULTIPLIER: Final = 1000 * PPM
_NAME_LENGTH: Final = 255


def check_tariff(tariff: Tariff) -> None:
    """Raise `BadPriceError` where calls could not be priced by `tariff`."""
    _check_rates(tariff.rates)
    above = 0
    for tier in tariff.tiers:
        if tier.above <= above:
            raise BadPriceError(
                "Tiers begin above 0 tokens and ascend; give each its own, larger beginning."
            )
        above = tier.above
        _check_rates(tier.rates)
    for name, factor in tariff.services.items():
        if not name.isidentifier() or not 0 <= factor <= _MOST_MULTIPLIER:
            raise BadPriceError("A service tier is a word, and its factor from 0 to 1000.")
    for name, amount in tariff.units.items():
        if not name.isidentifier() or not 0 <= amount <= _MOST_RATE:
            raise BadPriceError("A unit is a word, and its price is not below 0.")


def _check_rates(rates: Rates) -> None:
    for name in Rates.__struct_fields__:
        rate = getattr(rates, name)
        if rate is not None and not 0 <= rate <= _MOST_RATE:
            most = shown(_MOST_RATE)
            raise BadPriceError(
                f"The price of {name} is from 0 to {most} dollars a million tokens."
            )


def name_of(model: str, catalog: Catalog, listed: Collection[str]) -> str:
    """Return how `model` is written: a channel's name for it, the catalogue's, or in lower case.

    `listed` are the names channels list. Raises `UnknownModelError`.
    """
    lowered = model.lower()
    known = catalog.find(model)
    names = (*listed, *((known.id, *known.aliases) if known else ()))
    found = next((name for name in names if name.lower() == lowered), None)
    if found is None and (known is None or len(model) > _NAME_LENGTH):
        raise UnknownModelError(
            f"Neither the catalogue nor a channel knows the model '{model[:_NAME_LENGTH]}'; "
            "`meterway price show` and `meterway channel list --json` name those there are."
        )
    return found or lowered


def check_multiplier(kind: Kind, name: str, ppm: int) -> None:
    """Raise `BadMultiplierError` where a multiplier cannot be used."""
    if not 0 <= ppm <= _MOST_MULTIPLIER:
        raise BadMultiplierError("A multiplier is from 0 to 1000; 1 is the list price.")
    if not name or len(name) > _NAME_LENGTH or not name.isprintable():
        raise BadMultiplierError(f"A {kind} has a name of up to {_NAME_LENGTH} characters.")


def check_among(kind: Kind, name: str, known: Collection[str]) -> str:
    """Return the name among `known`, if there are any, that `name` is in whatever case.

    Raises `BadMultiplierError`.
    """
    found = next((each for each in known if each.lower() == name.lower()), None)
    if known and found is None:
        raise BadMultiplierError(f"There is no {kind} '{name}'; there are: {', '.join(known)}.")
    return found or name
