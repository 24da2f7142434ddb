"""From tokens to money: the one place where usage becomes an amount, and where amounts round."""

from collections.abc import Sequence

from meterway.catalog.tariffs import PPM, Flat, Resolved, Step
from meterway.kit.money import MOST, Nanos
from meterway.metering.errors import UnpricedServiceError
from meterway.protocols.usage import Usage

_USUAL = frozenset({"default", "standard", "auto"})


def price(
    usage: Usage, rates: Resolved, multipliers: Sequence[int] = (), service: str | None = None
) -> Nanos:
    """Return what `usage` costs: exact until the end, then rounded once, halves up.

    The tier is chosen by everything the call read, cached or not, and holds for the whole call.
    `multipliers` are millionths; `service` is a service tier as the dialects share it, None for
    the usual one. A count below zero is taken as zero, so no price is negative, and none is above
    `kit.money.MOST`. Raises `UnpricedServiceError`.
    """
    steps = rates.steps
    step = steps[0] if len(steps) == 1 else step_of(rates, usage.total_input)
    total = _exact(usage, step.flat) + rates.request * PPM
    if service is None and not multipliers:  # the usual call, without the steps it does not need
        return at_list_price(total)
    return rounded(total, factor_of(rates, service), multipliers)


def _exact(usage: Usage, flat: Flat) -> int:
    """Return millionths of nano-dollars; most calls use two of the classes alone."""
    read, cached, wrote, wrote_1h, heard, seen, said, thought, spoke = flat
    total = 0
    if usage.input > 0:
        total += usage.input * read
    if usage.output > 0:
        total += usage.output * said
    if usage.cache_read > 0:
        total += usage.cache_read * cached
    if usage.cache_write_5m > 0:
        total += usage.cache_write_5m * wrote
    if usage.cache_write_1h > 0:
        total += usage.cache_write_1h * wrote_1h
    if usage.reasoning > 0:
        total += usage.reasoning * thought
    if usage.input_audio > 0:
        total += usage.input_audio * heard
    if usage.input_image > 0:
        total += usage.input_image * seen
    if usage.output_audio > 0:
        total += usage.output_audio * spoke
    return total


def step_of(rates: Resolved, read: int) -> Step:
    """Return the tier of a call that read so many tokens."""
    found = rates.steps[0]
    for step in rates.steps:
        if read <= step.above:
            break
        found = step
    return found


def factor_of(rates: Resolved, service: str | None) -> int:
    """Return the factor of a service tier in millionths. Raises `UnpricedServiceError`."""
    if service is None or service in _USUAL:
        return PPM
    factor = rates.services.get(service)
    if factor is None:
        known = ", ".join(["default", *rates.services])
        raise UnpricedServiceError(
            f"This model has no price for the service tier `{service}`; use one of: {known}.",
            param="service_tier",
        )
    return factor


def service_of(rates: Resolved, asked: str | None, told: str | None) -> str | None:
    """Return the service tier to charge a call by, None for the usual one.

    It is the one the reply told of, where that has a price and is no dearer than what was asked
    for, or than the usual tier; else the one that was asked for. So a call that was served slower
    pays less, and nobody pays for a priority the operator's account has, not the call.
    Raises `UnpricedServiceError` where `asked` has no price, as the hold did before.
    """
    if asked is None and (told is None or told in _USUAL):  # nearly all calls
        return None
    most = max(factor_of(rates, asked), PPM)
    if told is None or (told not in _USUAL and rates.services.get(told, most + 1) > most):
        told = asked
    return None if told in _USUAL else told


def at_list_price(millionths: int) -> Nanos:
    """Do what `rounded` does where nothing is multiplied."""
    return min((2 * millionths + PPM) // (2 * PPM), MOST)


def rounded(millionths: int, factor: int, multipliers: Sequence[int]) -> Nanos:
    """Return whole nano-dollars of tokens times nano-dollars a million, halves up."""
    amount, parts = millionths * factor, PPM * PPM
    for multiplier in multipliers:
        amount *= multiplier
        parts *= PPM
    return min((2 * amount + parts) // (2 * parts), MOST)
