"""Receipts priced again: the proof that a charge came about as its receipt says."""

from collections.abc import Callable

from meterway.catalog.book import Book
from meterway.kit.money import Nanos
from meterway.ledger.charges.types import Terms
from meterway.metering.errors import UnpricedServiceError
from meterway.metering.pricing import factor_of, price_of_counts
from meterway.protocols.usage import Counts


def pricer(terms: Terms, book: Book) -> Callable[[Counts], Nanos] | None:
    """Return what tells the price of a usage on a receipt's terms, made ready once for many.

    None where the book lacks the price they name, or its factor for the service tier.
    """
    if not terms.price_id:
        return lambda _: 0
    row = book.row(terms.price_id)
    if row is None:
        return None
    rates = book.rates_of(row)
    try:
        factor_of(rates, terms.service)
    except UnpricedServiceError:
        return None
    return lambda counts: price_of_counts(counts, rates, terms.multipliers, terms.service)
