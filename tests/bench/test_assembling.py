"""Tests of the long conversations whose next turn the benchmark assembles."""

from meterway.bench.assembling import Assembled, figures, measure
from meterway.bench.types import Verdict


async def test_a_turn_holds_all_items_of_both_ways_and_its_own(tmp_path):
    found = await measure(tmp_path, items=40, reads=2)

    assert set(found) == {"conversation", "previous_response_id"}
    assert {one.items for one in found.values()} == {41}
    assert all(one.wall > 0 and one.cpu > 0 and one.size > 10_000 for one in found.values())


def test_the_slower_way_is_held_against_the_target():
    quick, slow = Assembled(2.0, 1.9, 41, 30_000), Assembled(6.0, 3.0, 41, 30_000)

    (row,) = figures({"conversation": quick, "previous_response_id": slow}, 40)

    assert (row.value, row.verdict) == (6.0, Verdict.MISSED)
    assert row.note == (
        "by `conversation` 2 ms (CPU 1.9), by `previous_response_id` 6 ms (CPU 3); "
        "30 KB of items on SQLite; medians"
    )


def test_a_body_that_lacks_items_makes_the_figure_invalid():
    (row,) = figures({"conversation": Assembled(2.0, 1.9, 40, 30_000)}, 40)

    assert row.verdict is Verdict.INVALID
    assert "a body has 40 items instead of 41" in row.note
