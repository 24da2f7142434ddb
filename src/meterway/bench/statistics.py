"""The arithmetic of the benchmark: medians, percentiles, ratios that survive a missing side."""

import math
from collections.abc import Sequence

_HUNDRED = 100


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two middle ones.

    Raises:
        ValueError: There are no values.
    """
    return (percentile(values, 50, upper=False) + percentile(values, 50, upper=True)) / 2


def percentile(values: Sequence[float], rank: float, *, upper: bool = False) -> float:
    """Return the nearest-rank percentile: the smallest value that `rank` % do not exceed.

    Args:
        values: In any order.
        rank: Between 0 and 100.
        upper: Where the rank falls between two values, take the greater one.

    Raises:
        ValueError: There are no values, or `rank` is out of range.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    if not 0 <= rank <= _HUNDRED:
        raise ValueError(f"a percentile rank lies between 0 and 100, not {rank}")
    ordered = sorted(values)
    position = rank / _HUNDRED * len(ordered)
    index = math.floor(position) if upper else math.ceil(position) - 1
    return ordered[min(max(index, 0), len(ordered) - 1)]


def ratio(value: float | None, base: float | None) -> float | None:
    """Return `value / base`, or nothing where a side is missing or the base is not positive."""
    if value is None or base is None or base <= 0:
        return None
    return value / base


def difference(value: float | None, base: float | None) -> float | None:
    """Return `value - base`, or nothing where a side is missing."""
    if value is None or base is None:
        return None
    return value - base
