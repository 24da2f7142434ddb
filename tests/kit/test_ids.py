"""Call ids: the moments they tell, their public form and back."""

import subprocess
import sys
import time

import pytest

from meterway.kit.ids import (
    CallIds,
    call_id_of,
    dated_id,
    day,
    first_id,
    moment,
    object_id,
    request_id,
)


def test_call_id_tells_its_moment_to_the_millisecond():
    before = time.time()
    call_id = CallIds(1023).next()
    after = time.time()

    assert before - 0.001 <= moment(call_id) <= after


@pytest.mark.parametrize("number", [0, 3, 1023, 1024 * 5 + 7])
def test_ids_go_on_at_another_node_and_still_increase(number):
    ids = CallIds(9)
    before = [ids.next() for _ in range(5000)]

    ids.move(number)
    after = [ids.next() for _ in range(5000)]

    assert sorted(set(before + after)) == before + after
    assert {call >> 12 & 1023 for call in after} == {number % 1024}


def test_ids_increase_while_the_clock_jumps_to_and_fro():
    moments = iter([1_800_000_000, 1_700_000_000, 1_900_000_000, 1_800_000_000] * 1000)
    ids = CallIds(9, lambda: next(moments) * 10**9)

    made = [ids.next() for _ in range(4000)]

    assert sorted(set(made)) == made


def test_process_that_starts_in_an_hour_that_comes_again_repeats_no_id():
    made = []
    for number in range(1000):
        ids = CallIds(9, lambda: 1_800_000_000 * 10**9)
        ids.move(number)
        made += [ids.next() for _ in range(10)]

    assert len(set(made)) == len(made)


def test_first_id_parts_what_came_before_from_what_came_after():
    at = 1_800_000_000.123

    assert moment(first_id(at)) == at
    assert moment(first_id(at) - 1) < at


def test_moment_before_all_calls_has_the_least_id():
    assert first_id(0) == 0


def test_day_of_a_call_begins_at_midnight_utc():
    midnight = 86_400 * 20_833

    assert [day(first_id(midnight - 0.001)), day(first_id(midnight))] == [20_832, 20_833]


def test_a_call_id_comes_back_from_its_public_form():
    call_id = CallIds(3).next()

    assert call_id_of(request_id(call_id)) == call_id_of(str(call_id)) == call_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "req_0",
        "req_00000000000000zz",
        "req_8000000000000000",
        "9" * 19,
        "²",
        "-1",
        "1 ",
    ],
)
def test_what_names_no_call_is_none(text):
    assert call_id_of(text) is None


def test_the_first_id_of_any_moment_fits_a_row():
    assert first_id(-1e12) == 0
    assert first_id(1e12) == (1 << 63) - 1


def test_names_of_a_later_moment_sort_behind_and_no_two_are_alike():
    moments = (1_767_225_600.1, 1_767_225_600.101, 1_767_225_600.9, 1_767_225_601.0)
    names = [dated_id("resp", at) for at in (*moments, moments[-1])]

    assert len(set(names)) == 5
    assert sorted(names[:4]) == names[:4]
    assert {len(name) for name in names} == {len("resp_") + 48}
    assert names[0][5:13] == "6955b900"


def test_no_two_names_are_alike():
    names = {object_id("msg") for _ in range(1_000)}

    assert len(names) == 1_000
    assert {len(name) for name in names} == {len("msg_") + 48}


def test_a_forked_process_gives_names_of_its_own():
    program = (
        "import os\n"
        "from meterway.kit.ids import object_id\n"
        "object_id('msg')\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "os.write(1, object_id('msg').encode() + b' ')\n"
    )

    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    assert len(set(run.stdout.split())) == 2
