"""From tokens to money: the one place where usage becomes an amount, and where amounts round."""

from collections.abc import Sequence
from operator import mul

from msgspec.structs import astuple

from meterway.catalog.tariffs import PPM, Resolved, Step
from meterway.kit.money import MOST, Nanos
from meterway.metering.errors import UnpricedServiceError
from meterway.protocols.usage import READ, Counts, Usage

_TWO_PPM = 2 * PPM
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
    return price_of_counts(astuple(usage), rates, multipliers, service)


def price_of_counts(
    counts: Counts, rates: Resolved, multipliers: Sequence[int], service: str | None
) -> Nanos:
    """Return what a usage costs that is told by its counts; else as `price`."""
    steps = rates.steps
    step = steps[0] if len(steps) == 1 else step_of(rates, sum(counts[:READ]))
    if counts and min(counts) < 0:
        counts = [max(count, 0) for count in counts]
    total: int = sum(map(mul, counts, step.flat), rates.request * PPM)
    if service is None and not multipliers:  # the usual call, without the steps it does not need
        amount = (2 * total + PPM) // _TWO_PPM
        return min(MOST, amount)
    return rounded(total, factor_of(rates, service), multipliers)


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


def rounded(millionths: int, factor: int, multipliers: Sequence[int]) -> Nanos:
    """Return whole nano-dollars of tokens times nano-dollars a million, halves up."""
    amount, parts = millionths * factor, PPM * PPM
    for multiplier in multipliers:
        amount *= multiplier
        parts *= PPM
    return min((2 * amount + parts) // (2 * parts), MOST)
