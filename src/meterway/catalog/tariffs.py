"""Tariffs as values: what each class of usage costs, and what changes that."""

from collections.abc import Mapping

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
    gives nano-dollars for things counted one by one (`image`, `character`, `second`, `search`,
    `megabyte_month`, `web_search`).
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    services: Mapping[str, int] = {}
    units: Mapping[str, Nanos] = {}


FREE = Tariff(rates=Rates(input=0))
"""The explicit price of what costs nobody anything: local engines and the sandbox."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the price book. `id` is what receipts name; 0 is `FREE` without a row.

    `effective_at` is in seconds since the epoch; `origin` is `seed` or `operator`.
    """

    id: int
    model: str
    effective_at: float
    tariff: Tariff
    origin: str
    source: str
