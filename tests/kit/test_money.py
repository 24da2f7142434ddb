"""Amounts are exact, and what is no amount is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit.money import MOST, BadAmountError, dollars, from_units, shown, units


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("0", 0), ("12.34", 12_340_000_000), ("0.000000001", 1), ("007", 7_000_000_000)],
)
def test_dollars_are_read_exactly(text, nanos):
    assert dollars(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1,000",
        "NaN",
        "inf",
        "1.",
        ".5",
        "0.0000000001",
        "9" * 16,
        "\u0661",
        " 1",
    ],
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(BadAmountError):
        dollars(text)


def test_an_absurd_amount_is_refused():
    with pytest.raises(BadAmountError):
        dollars("1000000000.01")


@given(st.integers(-MOST, MOST))
def test_shown_dollars_lose_nothing(nanos):
    text = shown(nanos)

    assert (-1 if text.startswith("-") else 1) * dollars(text.removeprefix("-")) == nanos
    assert len(text.partition(".")[2]) >= 2


def test_units_have_two_places():
    assert units(1_000_000_000, 250_000) == "250000.00"
    assert units(-5, 250_000) == "0.00" or units(-5, 250_000) == "-0.00"
    assert from_units("8217.00", 250_000) == 32_868_000
