"""Call ids and the moments they tell."""

import time

from meterway.kit.ids import CallIds, first_id, moment


def test_call_id_tells_its_moment_to_the_millisecond():
    before = time.time()
    call_id = CallIds(1023).next()
    after = time.time()

    assert before - 0.001 <= moment(call_id) <= after


def test_first_id_parts_what_came_before_from_what_came_after():
    at = 1_800_000_000.123

    assert moment(first_id(at)) == at
    assert moment(first_id(at) - 1) < at


def test_moment_before_all_calls_has_the_least_id():
    assert first_id(0) == 0
