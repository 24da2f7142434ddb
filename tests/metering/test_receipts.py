"""Receipts priced again: as they were charged, or not at all."""

import pytest
from msgspec.structs import astuple

from meterway.catalog.book import Book
from meterway.catalog.tariffs import Origin, Price, Rates, Tariff, Tier
from meterway.metering.pricing import price
from meterway.metering.receipts import pricer
from meterway.protocols.usage import Usage
from tests.factories.charges import new_receipt

RATES = Rates(input=2_000_000, output=6_000_000)
PRICE = Price(
    id=88,
    model="m",
    effective_at=0,
    tariff=Tariff(
        rates=RATES,
        tiers=(Tier(1000, Rates(input=4_000_000, output=9_000_000)),),
        services={"flex": 500_000},
        units={"request": 7},
    ),
    origin=Origin.SEED,
    source="here",
)
BOOK = Book([PRICE])


def _priced(receipt):
    priced = pricer(receipt.terms, BOOK)
    return priced and priced(astuple(receipt.usage))


def test_receipt_comes_to_its_price_with_all_that_multiplies_it():
    usage = Usage(input=100, output=10)
    plain = new_receipt(usage=usage, multipliers={})
    dearer = new_receipt(usage=usage, multipliers={"model": 2_000_000, "tier": 1_500_000})
    slower = new_receipt(usage=usage, multipliers={}, service="flex")

    assert [_priced(one) for one in (plain, dearer, slower)] == [267, 801, 134]


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(input=1),
        Usage(input=1, cache_read=1000, output=3),
        Usage(input_image=1000, reasoning=5, output_audio=8),
        Usage(input=-5, output=10),
    ],
)
@pytest.mark.parametrize("service", [None, "flex", "auto"])
def test_counts_cut_behind_the_last_come_to_what_their_usage_does(usage, service):
    counts = list(astuple(usage))
    while counts and not counts[-1]:
        counts.pop()
    receipt = new_receipt(usage=usage, service=service)

    priced = pricer(receipt.terms, BOOK)

    assert priced is not None
    assert priced(counts) == price(usage, BOOK.rates_of(PRICE), (1_100_000,), service)


def test_receipt_of_what_is_free_comes_to_nothing():
    assert _priced(new_receipt(price_id=0)) == 0


def test_receipt_whose_price_is_gone_has_no_pricer():
    assert pricer(new_receipt(price_id=5).terms, BOOK) is None
    assert pricer(new_receipt(service="unheard-of").terms, BOOK) is None
