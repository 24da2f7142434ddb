"""Tariffs and factors as people read and write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.catalog.listing import factor, in_dollars, millionths
from meterway.catalog.prices.errors import BadMultiplierError
from meterway.catalog.tariffs import FREE, PPM


@given(st.integers(0, 1000 * PPM))
def test_a_factor_is_read_as_it_is_written(ppm):
    assert millionths(factor(ppm)) == ppm


@pytest.mark.parametrize(
    ("text", "ppm"), [("1", PPM), ("0", 0), ("1.5", 1_500_000), ("0.000001", 1)]
)
def test_factors_are_decimals(text, ppm):
    assert (millionths(text), factor(ppm)) == (ppm, text)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1e3", "nan", "inf", ".5", "1.", "1.0000001", "1,5", "٣", " 1", "99999"],
)
def test_what_is_no_factor_is_refused_with_what_is(text):
    with pytest.raises(BadMultiplierError, match=r"1\.25"):
        millionths(text)


def test_what_a_tariff_lacks_is_absent():
    assert in_dollars(FREE) == {"rates": {"input": "0.00", "output": "0.00"}}
