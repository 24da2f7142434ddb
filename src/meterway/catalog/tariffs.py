"""Tariffs as values: what each class of usage costs, and what changes that."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import TypeAlias

import msgspec

from meterway.kit.money import Nanos

PPM = 1_000_000
"""Multipliers are whole millionths: a million parts are the list price."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nano-dollars for a million tokens of each class of usage.

    A class that is None costs what the vendor would bill it as: cache reads, audio and images
    as input; writes of five minutes as input, of an hour as those of five minutes; reasoning and
    spoken output as output.
    """

    input: Nanos
    output: Nanos = 0
    cache_read: Nanos | None = None
    cache_write_5m: Nanos | None = None
    cache_write_1h: Nanos | None = None
    input_audio: Nanos | None = None
    input_image: Nanos | None = None
    reasoning: Nanos | None = None
    output_audio: Nanos | None = None


class Tier(msgspec.Struct, frozen=True):
    """Rates of whole calls that read more than `above` tokens, cached ones included."""

    above: int
    rates: Rates


class Tariff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The list price of one model.

    `tiers` ascend by `above`. `services` gives factors in `PPM` by service tier (`batch`,
    `flex`, `priority`); one that is missing has no price, and calls for it are refused. `units`
    gives nano-dollars for things counted one by one (`request`, `image`, `character`, `second`,
    `search`, `megabyte_month`, `web_search`).
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    services: Mapping[str, int] = {}
    units: Mapping[str, Nanos] = {}


FREE = Tariff(rates=Rates(input=0))
"""The explicit price of what costs nobody anything: local engines and the sandbox."""


Flat: TypeAlias = tuple[Nanos, Nanos, Nanos, Nanos, Nanos, Nanos, Nanos, Nanos, Nanos]
"""Rates of all classes, in the order of `protocols.usage.Usage`, fall-backs filled in."""


class Step(msgspec.Struct, frozen=True):
    """A tier made ready to multiply with.

    Of calls that read up to this tier, a token read costs `input` at most, whichever way the
    cache takes it; one of an image or of sound `media`; and one written `output`.
    """

    above: int
    flat: Flat
    input: Nanos
    media: Nanos
    output: Nanos


class Resolved(msgspec.Struct, frozen=True):
    """A tariff made ready to multiply with: its steps ascend, and the first is above -1.

    `request` is in nano-dollars a call, whatever it reads and writes.
    """

    steps: tuple[Step, ...]
    services: Mapping[str, int]
    request: Nanos


def resolve(tariff: Tariff) -> Resolved:
    """Fill in what classes fall back to, once for all the calls a tariff prices."""
    steps: list[Step] = []
    most_in = most_media = most_out = 0
    for tier in (Tier(-1, tariff.rates), *tariff.tiers):
        flat = _flat(tier.rates)
        most_in = max(most_in, *flat[:4])
        most_media = max(most_media, most_in, *flat[4:6])
        most_out = max(most_out, *flat[6:])
        steps.append(Step(tier.above, flat, most_in, most_media, most_out))
    return Resolved(tuple(steps), dict(tariff.services), tariff.units.get("request", 0))


def _flat(rates: Rates) -> Flat:
    write = _or(rates.cache_write_5m, rates.input)
    return (
        rates.input,
        _or(rates.cache_read, rates.input),
        write,
        _or(rates.cache_write_1h, write),
        _or(rates.input_audio, rates.input),
        _or(rates.input_image, rates.input),
        rates.output,
        _or(rates.reasoning, rates.output),
        _or(rates.output_audio, rates.output),
    )


def _or(rate: Nanos | None, other: Nanos) -> Nanos:
    return other if rate is None else rate


class Origin(StrEnum):
    """Who says what a model costs; what an operator says stands above what ships."""

    SEED = "seed"
    OPERATOR = "operator"


class Kind(StrEnum):
    """What a multiplier is for: a model, a tier of membership, or a billing channel."""

    MODEL = "model"
    TIER = "tier"
    BILLING = "billing"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the price book. `id` is what receipts name; 0 is `FREE` without a row.

    `effective_at` is in seconds since the epoch; `source` names where the figures come from.
    """

    id: int
    model: str
    effective_at: float
    tariff: Tariff
    origin: Origin
    source: str


class NewPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says a model costs, from `effective_at` on, or from now where it is None."""

    model: str
    tariff: Tariff
    effective_at: float | None = None
    source: str = "operator"


class Seed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A list price that ships with the product.

    `begins` is a day such as "2027-01-01", 0:00 UTC, where the vendor announced it; None is now.
    """

    model: str
    tariff: Tariff
    source: str
    begins: date | None = None
