"""Writes the list prices that ship with the product from genai-prices, an open data set.

    python scripts/build_prices.py

Priced is every model of the catalogue the data set knows, and each dated name of it that costs
something else. What it lacks, or knows only in part, is kept by hand in `prices_kept.json`,
with the vendors' pages. Anthropic and OpenAI sell batches at half the price, see
https://platform.claude.com/docs/en/build-with-claude/batch-processing and
https://developers.openai.com/api/docs/guides/batch.
The service tiers of a model change all of its rates by the factor of its input: some vendors
round a cached token's own price, and some do not discount it in batches. genai-prices is under the
MIT licence (see NOTICE). The same inputs give the same bytes.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import data as genai
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from meterway.catalog.prices.checks import check_tariff
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import PPM, Rates, Seed, Tariff, Tier
from meterway.catalog.types import Model
from meterway.kit.money import NANOS_PER_USD

DATA = Path(__file__).parent.parent / "src/meterway/catalog/data"
TODAY = datetime(2026, 11, 25, tzinfo=UTC)  # prices announced for later begin then

# vendor → genai-prices' providers, the first that knows a model counts
VENDORS = {
    "anthropic": ("anthropic",),
    "deepseek": ("deepseek",),
    "google": ("google",),
    "meta": ("meta",),
    "minimax": ("minimax",),
    "mistral": ("mistral",),
    "moonshot": ("moonshotai",),
    "openai": ("openai",),
    "perplexity": ("perplexity",),
    "xai": ("x-ai",),
    "zhipu": ("zai", "zhipuai"),
}
CLASSES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "input_image": "input_image_mtok",
    "reasoning": "output_reasoning_mtok",
    "output_audio": "output_audio_mtok",
}
UNITS = {"web_search": "web_searches_kcount", "request": "requests_kcount"}
SERVICES = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}

HALF_BATCHES = frozenset({"anthropic", "openai"})


def main() -> None:
    """Price every model of the catalogue, check the tariffs, write the data file."""
    kept = msgspec.json.decode((DATA / "prices_kept.json").read_bytes(), type=list[Seed])
    by_hand = {seed.model for seed in kept}
    seeds = [
        seed
        for model in Catalog().models()
        for seed in seeds_of(model)
        if seed.model not in by_hand
    ]
    for seed in (*seeds, *kept):
        check_tariff(seed.tariff)
    lines = ",\n".join(msgspec.json.encode(seed).decode() for seed in seeds)
    (DATA / "prices.json").write_text(f"[\n{lines}\n]\n")
    priced = by_hand | {seed.model for seed in seeds}
    missing = [
        model.id
        for model in Catalog().models()
        if model.id not in priced and model.vendor != "sandbox" and not model.deprecated
    ]
    print(f"{len(seeds)} rows, {len(kept)} by hand; not priced: {', '.join(missing)}")


def seeds_of(model: Model) -> Iterator[Seed]:
    """Yield the rows of a model, of its names that cost something else, and of its fine-tunes."""
    usual = list(rows(model.id, model))
    usual = usual or next(
        (found for name in model.aliases if (found := list(rows(name, model)))), []
    )
    yield from (msgspec.structs.replace(row, model=model.id) for row in usual)
    told = [(row.tariff, row.begins) for row in usual]
    for name in model.aliases:
        own = list(rows(name, model))
        if own and [(row.tariff, row.begins) for row in own] != told:
            yield from own
    tuned = f"ft:{model.id}"
    yield from (
        msgspec.structs.replace(row, model=tuned)
        for row in rows(f"{tuned}:acme::id", model, only="ft:")
    )


def rows(name: str, model: Model, only: str = "") -> Iterator[Seed]:
    """Yield what one name costs today, and what it will from days the vendor announced."""
    found = find(name, model.vendor)
    if found is None or not found[1].id.startswith(only):
        return
    provider, info = found
    source = f"genai-prices {version('genai-prices')}"
    if provider.pricing_urls:
        source += f"; {provider.pricing_urls[0]}"
    moments: list[date | None] = [None]
    if isinstance(info.prices, list):
        moments += sorted(
            each.constraint.start_date
            for each in info.prices
            if isinstance(each.constraint, StartDateConstraint)
            and each.constraint.start_date > TODAY.date()
        )
    for begins in moments:
        at = (
            TODAY if begins is None else datetime(begins.year, begins.month, begins.day, tzinfo=UTC)
        )
        if (tariff := tariff_of(provider.id, info, at)) is not None:
            yield Seed(model=name, tariff=tariff, source=source, begins=begins)


def find(name: str, vendor: str) -> tuple[Provider, ModelInfo] | None:
    """Return who prices a name, and how."""
    for wanted in VENDORS.get(vendor, ()):
        provider = next(each for each in genai.providers if each.id == wanted)
        if (info := provider.find_model(name)) is not None:
            return provider, info
    return None


def tariff_of(provider: str, info: ModelInfo, at: datetime) -> Tariff | None:
    """Return the tariff of one day; where prices follow the hour, that of the dearest."""
    hours = [at + timedelta(hours=hour) for hour in range(24)]
    at = max(hours, key=lambda hour: base(info.get_prices(hour), "input_mtok") or 0)
    prices = info.get_prices(at)
    rates = rates_of(prices, 0)
    if rates is None:
        return None
    starts = {
        tier.start
        for key in CLASSES.values()
        if isinstance(price := prices.__dict__.get(key), TieredPrices)
        for tier in price.tiers
    }
    tiers = [(start, rates_of(prices, start + 1)) for start in sorted(starts)]
    return Tariff(
        rates=rates,
        tiers=tuple(Tier(start, tier) for start, tier in tiers if tier is not None),
        services=services_of(provider, info, at),
        units={
            unit: nanos(price) // 1000
            for unit, key in UNITS.items()
            if isinstance(price := prices.__dict__.get(key), Decimal)
        },
    )


def rates_of(prices: ModelPrice, read: int) -> Rates | None:
    """Return the rates of calls that read so many tokens, None where input has no price."""
    found: dict[str, Any] = {}
    for name, key in CLASSES.items():
        price = prices.__dict__.get(key)
        if isinstance(price, TieredPrices):
            above = [tier.price for tier in price.tiers if read > tier.start]
            price = above[-1] if above else price.base
        if price is not None:
            found[name] = nanos(price)
    return Rates(**found) if "input" in found else None


def services_of(provider: str, info: ModelInfo, at: datetime) -> dict[str, int]:
    """Return the factors of the service tiers whose prices are known."""
    usual = base(info.get_prices(at), "input_mtok")
    factors = {"batch": PPM // 2} if provider in HALF_BATCHES else {}
    for service, contexts in SERVICES.items():
        for context in contexts:
            known = any(
                variant.when == context
                and (variant.constraint is None or variant.constraint.active(at))
                for variant in info.price_variants or ()
            )
            other = base(info.get_prices(at, context), "input_mtok")
            if known and usual and other:
                factors[service] = round(other / usual * PPM)
    return factors


def base(prices: ModelPrice, key: str) -> Decimal | None:
    """Return a price of the lowest tier."""
    price = prices.__dict__.get(key)
    return price.base if isinstance(price, TieredPrices) else price


def nanos(price: Decimal) -> int:
    """Return dollars as nano-dollars."""
    return int((price * NANOS_PER_USD).to_integral_value())


if __name__ == "__main__":
    main()
