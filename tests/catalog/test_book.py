"""The price book: which row counts at which moment."""

import math

import pytest

from meterway.catalog.book import Book
from meterway.catalog.tariffs import FREE, PPM, Kind, Origin, Price, Rates, Tariff

SEED, OPERATOR = Origin.SEED, Origin.OPERATOR


def _row(id_: int, at: float, origin: Origin = SEED, model: str = "gpt-4o", rate: int = 0) -> Price:
    tariff = Tariff(rates=Rates(input=rate or id_))
    return Price(id=id_, model=model, effective_at=at, tariff=tariff, origin=origin, source="x")


def _id(book: Book, at: float, model: str = "gpt-4o") -> int | None:
    price = book.price_of(model, at)
    return price.id if price else None


def test_the_last_row_in_effect_counts():
    book = Book([_row(3, 30), _row(1, 10), _row(2, 20)])

    assert [_id(book, at) for at in (9, 10, 19.9, 20, 30, 1e12)] == [None, 1, 1, 2, 3, 3]


def test_of_two_that_begin_together_the_later_made_counts():
    assert _id(Book([_row(2, 10), _row(1, 10)]), 10) == 2


def test_an_operators_price_stands_above_what_ships_later():
    book = Book([_row(1, 10), _row(2, 20, OPERATOR), _row(3, 30)])

    assert [_id(book, at) for at in (10, 20, 30)] == [1, 2, 2]


def test_a_price_to_come_leaves_what_holds_until_then():
    book = Book([_row(1, 10), _row(2, 100, OPERATOR)])

    assert [_id(book, at) for at in (50, 100)] == [1, 2]


def test_names_are_found_in_any_case():
    book = Book([_row(1, 0, model="GLM-5")], {(Kind.TIER, "VIP"): 800_000})

    assert _id(book, 1, "glm-5") == _id(book, 1, "GLM-5") == 1
    assert book.multiplier(Kind.TIER, "vip") == 800_000


def test_a_multiplier_nobody_set_is_the_list_price():
    book = Book([], {(Kind.MODEL, "x"): 5})

    assert (book.multiplier(Kind.TIER, "x"), book.multiplier(Kind.MODEL, "x")) == (PPM, 5)
    assert book.multipliers(Kind.MODEL) == {"x": 5}


@pytest.mark.parametrize(
    ("at", "span"),
    [(5, (-math.inf, 10)), (10, (10, 20)), (15, (10, 20)), (20, (20, math.inf))],
)
def test_a_moment_lies_between_two_changes(at, span):
    book = Book([_row(1, 10), _row(2, 20, model="other")])

    assert book.span(at) == span
    assert book.next_change(at) == span[1]


def test_a_receipts_row_is_found_and_its_rates_are_made_once():
    book = Book([_row(7, 10)])
    price = book.row(7)
    assert price is not None

    assert book.rates_of(price) is book.rates_of(price)
    assert book.rates_of(price).steps[0].flat[0] == 7
    assert book.row(0) is None


def test_every_model_and_its_history_are_listed():
    rows = [_row(1, 10), _row(2, 20, OPERATOR), _row(3, 15), _row(4, 1, model="a")]
    book = Book(rows)

    assert book.models() == ["a", "gpt-4o"]
    assert [row.id for row in book.history("GPT-4o")] == [1, 3, 2]
    assert book.history("b") == []


def test_an_empty_book_prices_nothing():
    assert Book().price_of("gpt-4o", 1) is None
    assert FREE.rates == Rates(input=0)
