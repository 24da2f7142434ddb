"""What a call is charged by."""

import pytest

from meterway.catalog.book import Book
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import FREE, PPM, Kind, Origin, Price, Rates, Tariff
from meterway.catalog.types import Model
from meterway.metering.pricing import price
from meterway.metering.quotes import Pricing, Quote
from meterway.protocols.usage import Usage

SEED, OPERATOR = Origin.SEED, Origin.OPERATOR
SNAPSHOT = "gpt-4o-2024-05-13"
CATALOG = Catalog([Model(id="gpt-4o", family="f", vendor="openai", title="G", aliases=(SNAPSHOT,))])


def _row(id_: int, model: str = "gpt-4o", origin: Origin = SEED, at: float = 0) -> Price:
    tariff = Tariff(rates=Rates(input=id_ * 10**6))
    return Price(id=id_, model=model, effective_at=at, tariff=tariff, origin=origin, source="x")


def _pricing(*rows: Price, **multipliers: int) -> Pricing:
    kinds = {(Kind(k.split("_")[0]), k.split("_", 1)[1]): v for k, v in multipliers.items()}
    return Pricing(CATALOG, Book(rows, kinds))


def _quote(pricing: Pricing, model: str = "gpt-4o", *, at: float = 1, **more) -> Quote:
    found = pricing.quote(model, at=at, **more)
    assert found is not None
    return found


def _id(pricing: Pricing, model: str = "gpt-4o", *, at: float = 1, **more) -> int | None:
    found = pricing.quote(model, at=at, **more)
    return found.price.id if found else None


@pytest.mark.parametrize(
    ("rows", "free", "charged"),
    [
        ([], False, None),
        ([], True, 0),
        ([_row(1)], False, 1),
        ([_row(1)], True, 0),
        ([_row(1), _row(2, origin=OPERATOR)], False, 2),
        ([_row(1), _row(2, origin=OPERATOR)], True, 2),
    ],
)
def test_the_operator_counts_first_then_what_is_free_then_the_list(rows, free, charged):
    assert _id(_pricing(*rows), free=free) == charged


def test_what_is_free_has_the_explicit_price_of_nothing():
    quote = _quote(_pricing(), "llama3:8b", free=True)

    assert (quote.price.id, quote.price.tariff) == (0, FREE)
    assert price(Usage(input=10**6, output=10**6), quote.rates, quote.factors) == 0


@pytest.mark.parametrize("name", ["gpt-4o", "GPT-4o", SNAPSHOT, "openai/gpt-4o", "gpt-4o-latest"])
def test_every_name_of_a_model_has_its_price(name):
    assert _id(_pricing(_row(1)), name) == 1


def test_a_name_with_a_price_of_its_own_has_that():
    pricing = _pricing(_row(1), _row(2, SNAPSHOT))

    assert (_id(pricing), _id(pricing, SNAPSHOT)) == (1, 2)


def test_an_operators_price_of_the_model_counts_before_the_list_price_of_a_name():
    pricing = _pricing(_row(1), _row(2, SNAPSHOT), _row(3, origin=OPERATOR))

    assert _id(pricing, SNAPSHOT) == 3


def test_a_fine_tuned_model_never_has_its_bases_price():
    base = _row(1)

    assert _id(_pricing(base), "ft:gpt-4o:acme::1") is None
    assert _id(_pricing(base, _row(2, "ft:gpt-4o")), "ft:gpt-4o-2024-08-06:acme::1") == 2
    assert _id(_pricing(base, _row(3, "ft:gpt-4o:acme::1")), "ft:gpt-4o:acme::1") == 3


def test_a_name_nobody_knows_has_the_price_set_for_it_alone():
    pricing = _pricing(_row(1, "fast"))

    assert (_id(pricing, "fast"), _id(pricing, "slow")) == (1, None)
    assert (pricing.priced("fast", 1), pricing.priced("slow", 1)) == (True, False)


def test_multipliers_of_model_tier_and_billing_channel_apply_together():
    pricing = _pricing(_row(1), **{"model_gpt-4o": 2 * PPM, "tier_VIP": 900_000, "billing_cc": 5})

    quote = _quote(pricing, SNAPSHOT, tier="VIP", billing="cc")

    assert quote.multipliers == {"model": 2 * PPM, "tier": 900_000, "billing": 5}
    assert quote.factors == (2 * PPM, 900_000, 5)
    assert _quote(pricing, tier="normal").multipliers == {"model": 2 * PPM}


def test_a_quote_follows_the_dates_and_the_clock_both_ways():
    pricing = _pricing(_row(1), _row(2, at=100, origin=OPERATOR), _row(3, at=200, origin=OPERATOR))

    charged = [_id(pricing, at=at) for at in (50, 99.9, 100, 250, 150, 50)]

    assert charged == [1, 1, 2, 3, 2, 1]


def test_a_quote_is_made_once_until_the_book_is_replaced():
    pricing = _pricing(_row(1))
    first = _quote(pricing)

    assert _quote(pricing, at=9e9) is first
    pricing.replace(Book([_row(2)]))
    assert _quote(pricing).price.id == 2


def test_names_that_callers_make_up_do_not_fill_the_memory():
    pricing = _pricing()

    for number in range(10_000):
        assert pricing.quote(f"made-up-{number}", at=1) is None

    assert len(pricing._quotes) <= 4096


def test_a_listing_tells_the_price_and_who_pays_what_of_it():
    pricing = _pricing(_row(1), tier_VIP=900_000, billing_cc=500_000)

    listing = pricing.listing(SNAPSHOT, at=1)

    assert listing is not None
    assert (listing.model, listing.price.id, listing.multiplier) == (SNAPSHOT, 1, PPM)
    assert (listing.tiers, listing.billing) == ({"vip": 900_000}, {"cc": 500_000})
    assert pricing.listing("slow", at=1) is None
