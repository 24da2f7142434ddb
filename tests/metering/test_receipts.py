"""Receipts priced again: as they were charged, or not at all."""

from meterway.catalog.book import Book
from meterway.catalog.tariffs import Origin, Price, Rates, Tariff
from meterway.metering.receipts import price_again
from meterway.protocols.usage import Usage
from tests.factories.charges import new_receipt

BOOK = Book(
    [
        Price(
            id=88,
            model="m",
            effective_at=0,
            tariff=Tariff(
                rates=Rates(input=2_000_000, output=6_000_000), services={"flex": 500_000}
            ),
            origin=Origin.SEED,
            source="here",
        )
    ]
)
USAGE = Usage(input=100, output=10)


def test_receipt_comes_to_its_price_with_all_that_multiplies_it():
    plain = new_receipt(usage=USAGE, multipliers={})
    dearer = new_receipt(usage=USAGE, multipliers={"model": 2_000_000, "tier": 1_500_000})
    slower = new_receipt(usage=USAGE, multipliers={}, service="flex")

    assert [price_again(one, BOOK) for one in (plain, dearer, slower)] == [260, 780, 130]


def test_receipt_of_what_is_free_comes_to_nothing():
    assert price_again(new_receipt(price_id=0), BOOK) == 0


def test_receipt_whose_price_is_gone_comes_to_nothing_known():
    assert price_again(new_receipt(price_id=5), BOOK) is None
    assert price_again(new_receipt(service="unheard-of"), BOOK) is None
