"""The price book's rows: set by operators, brought in line with what ships, and never changed."""

import asyncio
import re
from datetime import date

import msgspec
import pytest

from meterway.catalog.book import Book
from meterway.catalog.prices import service
from meterway.catalog.prices.errors import (
    BadMultiplierError,
    BadPriceError,
    PriceHoleError,
    PriceOverlapError,
    UnknownModelError,
)
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import (
    FREE,
    PPM,
    Kind,
    NewPrice,
    Origin,
    Rates,
    Seed,
    Tariff,
    Tier,
)
from meterway.catalog.types import Model
from meterway.db import versions
from meterway.db.engine import reading, transaction

NOW = 1_800_000_000.1234
THE_DAY = 1_795_564_800.0  # 2026-11-25, when the shipped prices were built
NEW_YEAR = 1_830_297_600.0  # 2028-01-01
CATALOG = Catalog(
    [
        Model(
            id="gpt-4o",
            family="gpt-4o",
            vendor="openai",
            title="G",
            aliases=("gpt-4o-2024-05-13",),
        )
    ]
)


def _tariff(rate: int = 1, **more) -> Tariff:
    return Tariff(rates=Rates(input=rate, output=2 * rate), **more)


def _seed(rate: int = 1, model: str = "gpt-4o", **more) -> Seed:
    return Seed(model=model, tariff=_tariff(rate), source="a page", **more)


async def _sync(engine, *seeds: Seed, now: float = NOW) -> list[str]:
    async with transaction(engine) as tx:
        return [row.model for row in await service.sync(tx, seeds, now=now)]


async def _set(engine, tariff: Tariff, model: str = "gpt-4o", now: float = NOW, **more):
    new = NewPrice(model=model, tariff=tariff, **more)
    async with transaction(engine) as tx:
        return await service.set_price(tx, new, CATALOG, listed=("Fast",), now=now)


async def _book(engine) -> Book:
    async with reading(engine) as connection:
        return await service.load(connection)


async def _version(engine) -> int:
    async with reading(engine) as connection:
        return (await versions.read(connection)).get(versions.PRICES, 0)


async def _rate(engine, at: float = NOW, model: str = "gpt-4o") -> int | None:
    price = (await _book(engine)).price_of(model, at)
    return price.tariff.rates.input if price else None


# -- seeds ---------------------------------------------------------------------------------------


async def test_seeds_fill_an_empty_book_with_their_source(engine):
    added = await _sync(engine, _seed(5), _seed(6, "o3"))

    price = (await _book(engine)).price_of("gpt-4o", NOW)
    assert added == ["gpt-4o", "o3"]
    assert price is not None
    assert (price.origin, price.source, price.tariff) == (Origin.SEED, "a page", _tariff(5))


async def test_a_seed_that_says_nothing_new_adds_nothing(engine):
    await _sync(engine, _seed(5))
    before = await _version(engine)

    added = await _sync(engine, _seed(5), now=NOW + 9)

    assert (added, await _version(engine)) == ([], before)


async def test_a_seed_that_changed_holds_from_now_and_leaves_the_past(engine):
    await _sync(engine, _seed(5))

    await _sync(engine, _seed(7), now=NOW + 10)

    assert [await _rate(engine, NOW + after) for after in (0, 9, 10)] == [5, 5, 7]


async def test_a_seed_never_stands_above_an_operators_price(engine):
    await _set(engine, _tariff(3))

    await _sync(engine, _seed(5), now=NOW + 10)

    assert await _rate(engine, NOW + 20) == 3


async def test_a_price_the_vendor_announced_begins_on_its_day_and_once(engine):
    plan = (_seed(5), _seed(9, begins=date(2028, 1, 1)))

    first = await _sync(engine, *plan)
    again = await _sync(engine, *plan, now=NOW + 5)
    after = await _sync(engine, *plan, now=NEW_YEAR + 5)

    assert (len(first), again, after) == (2, [], [])
    assert [await _rate(engine, at) for at in (NEW_YEAR - 1, NEW_YEAR)] == [5, 9]


async def test_a_first_start_after_the_announced_day_takes_the_new_price_alone(engine):
    plan = (_seed(9, begins=date(2028, 1, 1)), _seed(5))

    added = await _sync(engine, *plan, now=NEW_YEAR + 5)

    assert (added, await _rate(engine, NEW_YEAR + 5)) == (["gpt-4o"], 9)


async def test_two_machines_that_start_together_add_each_seed_once(engine):
    both = await asyncio.gather(*(_sync(engine, _seed(5)) for _ in range(2)))

    assert sorted(map(len, both)) == [0, 1]


async def test_a_seed_that_cannot_be_used_adds_nothing(engine):
    with pytest.raises(BadPriceError):
        await _sync(engine, _seed(5), _seed(-1, "o3"))

    assert await _rate(engine) is None


def test_what_ships_prices_every_model_people_ask_for():
    seeds = service.shipped()
    names = {seed.model for seed in seeds if seed.begins is None}

    assert {"claude-opus-4-8", "gpt-4o", "gpt-5", "gemini-2.5-pro", "deepseek-chat"} <= names
    assert all(re.search(r"https://", seed.source) for seed in seeds)
    assert len({(seed.model, seed.begins) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize(
    "seed", [seed for seed in service.shipped() if re.match(r"claude-\w+-[345]", seed.model)]
)
def test_anthropics_cache_costs_what_its_page_says(seed):
    for rates in (seed.tariff.rates, *(tier.rates for tier in seed.tariff.tiers)):
        if seed.model == "claude-3-haiku":  # its page rounds
            continue
        assert rates.cache_write_5m == rates.input * 5 // 4
        assert rates.cache_write_1h == rates.input * 2
        assert rates.cache_read is not None
        assert rates.cache_read <= rates.input // 10


async def test_everything_that_ships_can_be_stored_and_read_again(engine):
    async with transaction(engine) as tx:
        await service.sync(tx, service.shipped(), now=THE_DAY)

    book = await _book(engine)
    for seed in service.shipped():
        if seed.begins is None:
            price = book.price_of(seed.model, THE_DAY)
            assert price is not None
            assert price.tariff == seed.tariff


# -- what operators set --------------------------------------------------------------------------


async def test_a_price_holds_from_now_on_and_moves_the_version(engine):
    before = await _version(engine)

    row = await _set(engine, _tariff(3), source="contract 7")

    assert row == (await _book(engine)).row(row.id)
    assert (row.origin, row.source, row.effective_at) == (
        Origin.OPERATOR,
        "contract 7",
        1_800_000_000.123,
    )
    assert await _version(engine) == before + 1
    assert await _rate(engine) == 3


async def test_a_new_price_leaves_the_old_row(engine):
    first = await _set(engine, _tariff(3))
    await _set(engine, _tariff(4), now=NOW + 1)

    old = (await _book(engine)).row(first.id)
    assert old == first


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("ft:gpt-4o:acme::ID", "ft:gpt-4o:acme::id"),
        ("fast", "Fast"),
    ],
)
async def test_a_price_is_for_a_name_somebody_knows(sqlite, asked, kept):
    row = await _set(sqlite, _tariff(), model=asked)

    assert row.model == kept


@pytest.mark.parametrize("model", ["nope", "", "gpt-4o" * 200])
async def test_a_model_nobody_knows_is_refused_with_where_to_look(sqlite, model):
    with pytest.raises(UnknownModelError, match="meterway price show") as refused:
        await _set(sqlite, _tariff(), model=model)

    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("tariff", "word"),
    [
        (_tariff(-1), "from 0"),
        (Tariff(rates=Rates(input=1, cache_read=-1)), "cache_read"),
        (_tariff(10**14 + 1), "100000"),
        (_tariff(tiers=(Tier(0, Rates(input=1)),)), "ascend"),
        (_tariff(tiers=(Tier(5, Rates(input=1)), Tier(5, Rates(input=2)))), "ascend"),
        (_tariff(tiers=(Tier(9, Rates(input=1)), Tier(5, Rates(input=2)))), "ascend"),
        (_tariff(tiers=(Tier(9, Rates(input=-1)),)), "from 0"),
        (_tariff(services={"flex": -1}), "factor"),
        (_tariff(services={"": 1}), "word"),
        (_tariff(units={"image": -1}), "unit"),
    ],
)
async def test_a_tariff_with_holes_overlaps_or_absurd_amounts_is_refused(sqlite, tariff, word):
    with pytest.raises(BadPriceError, match=word):
        await _set(sqlite, tariff)

    assert await _rate(sqlite) is None


async def test_a_price_cannot_begin_in_the_past(engine):
    with pytest.raises(PriceHoleError, match="past"):
        await _set(engine, _tariff(), effective_at=NOW - 1)


async def test_a_price_to_come_needs_one_until_then(engine):
    with pytest.raises(PriceHoleError, match="begins now"):
        await _set(engine, _tariff(), effective_at=NOW + 100)

    await _set(engine, _tariff(3))
    await _set(engine, _tariff(4), effective_at=NOW + 100)
    assert [await _rate(engine, NOW + after) for after in (99, 100)] == [3, 4]


async def test_a_name_that_follows_its_model_may_have_a_price_to_come(engine):
    await _sync(engine, _seed(5))

    row = await _set(engine, _tariff(4), model="gpt-4o-2024-05-13", effective_at=NOW + 100)

    assert row.effective_at == 1_800_000_100.123


async def test_two_prices_that_begin_together_are_refused(engine):
    await _set(engine, _tariff(3))
    await _set(engine, _tariff(4), effective_at=NEW_YEAR)

    with pytest.raises(PriceOverlapError, match="another moment"):
        await _set(engine, _tariff(5), effective_at=NEW_YEAR)

    assert await _rate(engine, NEW_YEAR) == 4


async def test_a_model_can_be_made_free(engine):
    await _set(engine, FREE)

    assert await _rate(engine) == 0


# -- multipliers ---------------------------------------------------------------------------------


async def _multiply(engine, kind: Kind, name: str, ppm: int, known=()) -> str:
    async with transaction(engine) as tx:
        return await service.set_multiplier(tx, kind, name, ppm, CATALOG, known=known)


async def test_a_multiplier_takes_the_place_of_the_one_before(engine):
    await _multiply(engine, Kind.TIER, "VIP", 900_000)
    before = await _version(engine)
    await _multiply(engine, Kind.TIER, "VIP", 800_000)

    assert (await _book(engine)).multiplier(Kind.TIER, "vip") == 800_000
    assert await _version(engine) == before + 1


@pytest.mark.parametrize("ppm", [-1, 1000 * PPM + 1])
async def test_an_absurd_multiplier_is_refused(sqlite, ppm):
    with pytest.raises(BadMultiplierError, match="from 0 to 1000"):
        await _multiply(sqlite, Kind.TIER, "VIP", ppm)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb"])
async def test_a_multiplier_has_a_name(sqlite, name):
    with pytest.raises(BadMultiplierError, match="name"):
        await _multiply(sqlite, Kind.BILLING, name, PPM)


async def test_a_multiplier_is_for_what_there_is(sqlite):
    with pytest.raises(UnknownModelError):
        await _multiply(sqlite, Kind.MODEL, "nope", PPM)
    with pytest.raises(BadMultiplierError, match="normal, VIP"):
        await _multiply(sqlite, Kind.TIER, "gold", PPM, known=("normal", "VIP"))

    assert await _multiply(sqlite, Kind.TIER, "vip", PPM, known=("normal", "VIP")) == "VIP"
    assert await _multiply(sqlite, Kind.MODEL, "GPT-4O", PPM) == "gpt-4o"


def test_seeds_are_read_as_they_are_written():
    seed = _seed(1, begins=date(2027, 1, 1))

    assert msgspec.json.decode(msgspec.json.encode(seed), type=Seed) == seed
