"""Moments: shown in UTC with milliseconds, read in any zone, and in UTC+8 without one."""

import pytest

from meterway.kit.moments import read, shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-12-31 23:59:59", 1_735_660_799),
        ("2024-12-31T23:59:59", 1_735_660_799),
        ("2024-12-31T15:59:59Z", 1_735_660_799),
        ("2024-12-31T15:59:59.250+00:00", 1_735_660_799.25),
        ("2024-12-31", 1_735_574_400),
    ],
)
def test_moment_without_a_zone_is_read_in_the_zone_of_the_platform(text, seconds):
    assert read(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59.9999Z",
        "",
        "soon",
        "1735660799",
        "2024-13-01",
        "2024-12-31T25:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read(text)


def test_moment_is_shown_as_it_is_read():
    assert read(shown(1_735_660_799.25) or "") == 1_735_660_799.25
    assert shown(None) is None
