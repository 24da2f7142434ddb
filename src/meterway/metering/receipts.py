"""Receipts priced again: the proof that a charge came about as its receipt says."""

from meterway.catalog.book import Book
from meterway.kit.money import Nanos
from meterway.ledger.charges.types import Receipt
from meterway.metering.errors import UnpricedServiceError
from meterway.metering.pricing import price


def price_again(receipt: Receipt, book: Book) -> Nanos | None:
    """Return what a receipt comes to; None where the book lacks the price it names."""
    if not receipt.price_id:
        return 0
    row = book.row(receipt.price_id)
    if row is None:
        return None
    factors = tuple(receipt.multipliers.values())
    try:
        return price(receipt.usage, book.rates_of(row), factors, receipt.service)
    except UnpricedServiceError:
        return None
