"""Tests of the benchmark's arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.bench.statistics import difference, median, percentile, ratio


def test_median_of_an_even_count_lies_between_the_middle_two():
    values = [9.0, 1.0, 4.0, 2.0]

    middle = median(values)

    assert middle == 3.0


def test_median_of_an_odd_count_is_the_middle_one():
    assert median([5.0, 1.0, 100.0]) == 5.0


@pytest.mark.parametrize(("rank", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (100, 100)])
def test_percentile_is_the_nearest_rank(rank, expected):
    values = list(range(100, 0, -1))

    found = percentile(values, rank)

    assert found == expected


def test_p99_of_few_values_is_the_greatest():
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 100))
def test_percentile_is_one_of_the_values_and_covers_its_rank(values, rank):
    found = percentile(values, rank)

    assert found in values
    assert sum(value <= found for value in values) >= rank / 100 * len(values) - 1e-9


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_median_has_as_many_values_below_as_above(values):
    middle = median(values)

    below, above = sum(v < middle for v in values), sum(v > middle for v in values)
    assert max(below, above) <= len(values) / 2


def test_percentile_refuses_nothing_and_impossible_ranks():
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile([1.0], 101)


def test_a_missing_side_leaves_ratio_and_difference_missing():
    assert ratio(None, 2.0) is None
    assert ratio(2.0, None) is None
    assert ratio(2.0, 0.0) is None
    assert difference(1.0, None) is None
    assert ratio(3.0, 2.0) == 1.5
    assert difference(3.0, 2.0) == 1.0
