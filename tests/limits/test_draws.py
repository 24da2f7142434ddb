"""Calls drawn ahead: spent without the lock, never one too many, and none is lost for long."""

import fcntl
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from meterway.limits.draws import TENTH
from meterway.limits.store import SharedCounts, create
from meterway.limits.types import SECOND, Kind, Limit, Subject, bound, standings

NOW = 5_000_000 * SECOND
MINUTE = 60 * SECOND
WORKERS = 3
MILLION = 1_000_000
LAWS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, WORKERS - 1),
        st.sampled_from([0, 1, 1_000_000, 40_000_000, TENTH - 1, TENTH, 7 * TENTH]),
        st.integers(0, 90),
        st.sampled_from(["take", "take", "take", "settle", "all"]),
    ),
    min_size=1,
    max_size=60,
)


def user(number, **limit):
    return (bound(Subject(Kind.USER, number), Limit(**limit)),)


@pytest.fixture
def machine(tmp_path):
    """Start the workers of a machine, anew at each call."""
    made: list[SharedCounts] = []

    def start():
        path = tmp_path / f"limits-{len(made)}"
        create(path, columns=WORKERS, cells=16)
        workers = [SharedCounts(path, column) for column in range(WORKERS)]
        made.extend(workers)
        return workers

    yield start
    for one in made:
        one.close()


@pytest.fixture
def workers(machine):
    return machine()


async def admitted(counts, bounds, times, now=NOW, tokens=1):
    return sum([(await counts.take(bounds, tokens, now)).refused is None for _ in range(times)])


def hold_the_lock(path):
    held = os.open(path, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def keeps_the_law(spent, most):
    """Whether no stretch of `(time, how much)` has more than the burst and what came back in it."""
    step, ahead = -(-MINUTE // most), 0
    for time, much in spent:
        ahead = max(ahead, time) + much * step
        if ahead - time > step * most:
            return False
    return True


@LAWS
@given(most=st.sampled_from([60, 700, 6_400]), start=st.integers(0, 2 * TENTH), steps=STEPS)
async def test_no_stretch_of_time_has_more_calls_than_its_limit(machine, most, start, steps):
    workers, bounds = machine(), user(1, requests=most)
    now, spent = NOW + start, []
    for worker, gap, calls, what in steps:
        now += gap
        if what == "settle":
            workers[worker].settle(now)
        elif what == "all":
            now += MINUTE // 2
        spent.append((now, await admitted(workers[worker], bounds, calls, now)))

    assert keeps_the_law(spent, most)


@LAWS
@example(most=MILLION, steps=[(0, 0, 2, "take"), (0, TENTH - 1, 8, "take"), (1, 0, 0, "all")])
@example(most=MILLION, steps=[(0, 0, 2, "take"), (0, 7 * TENTH, 8, "take"), (1, 0, 0, "all")])
@example(
    most=MILLION,
    steps=[
        (0, 0, 2, "take"),
        (1, TENTH, 2, "take"),
        (0, 0, 0, "settle"),
        (1, TENTH - 1, 8, "take"),
        (2, 0, 0, "all"),
    ],
)
@given(most=st.sampled_from([700, 90_000, MILLION]), steps=STEPS)
async def test_no_stretch_of_time_has_more_tokens_than_its_limit(machine, most, steps):
    workers, bounds = machine(), user(1, tokens=most)
    now, spent = NOW, []
    for worker, gap, calls, what in steps:
        now += gap
        if what == "settle":
            workers[worker].settle(now)
        spent.append((now, await admitted(workers[worker], bounds, calls, now)))
        tokens = most if what == "all" else 0
        while tokens:  # all that may be had at this moment
            if not await admitted(workers[worker], bounds, 1, now, tokens):
                tokens //= 2
            else:
                spent.append((now, tokens))

    assert keeps_the_law(spent, most)


@LAWS
@given(most=st.integers(1, 80), steps=STEPS)
async def test_no_more_calls_run_at_once_than_may(machine, most, steps):
    workers, bounds = machine(), user(1, requests=10**9, concurrency=most)
    now, running = NOW, []
    for worker, gap, calls, what in steps:
        now += gap
        for _ in range(calls):
            taken = await workers[worker].take(bounds, 1, now)
            if taken.refused is None:
                running.append((worker, taken))
            else:
                assert len(running) == most
        if what != "take":
            for one, taken in running[: len(running) // 2]:
                workers[one].give(taken)
            del running[: len(running) // 2]

        assert len(running) <= most


async def test_who_is_far_from_the_limit_needs_no_lock(tmp_path):
    create(tmp_path / "limits", columns=2)
    counts = SharedCounts(tmp_path / "limits", 0, patience=10)
    bounds = user(1, requests=10**6, tokens=10**6)
    await admitted(counts, bounds, 2)
    held = hold_the_lock(tmp_path / "limits")

    drawn = await admitted(counts, bounds, 8)

    os.close(held)
    assert drawn == 8
    counts.close()


async def test_calls_at_once_are_drawn_too_and_counted_until_they_are_given_back(tmp_path):
    create(tmp_path / "limits", columns=2)
    counts = SharedCounts(tmp_path / "limits", 0, patience=10)
    bounds = user(1, concurrency=60_000)
    await admitted(counts, bounds, 2)
    held = hold_the_lock(tmp_path / "limits")

    drawn = [await counts.take(bounds, 1, NOW) for _ in range(8)]

    os.close(held)
    other = SharedCounts(tmp_path / "limits", 1)
    for taken in drawn:
        counts.give(taken)
    counts.flush()
    assert await admitted(other, bounds, 60_000) == 60_000 - 2
    counts.close()
    other.close()


async def test_a_worker_alone_admits_exactly_as_many_at_once_as_may(tmp_path):
    create(tmp_path / "limits", columns=1)
    counts, bounds = SharedCounts(tmp_path / "limits", 0), user(1, concurrency=100)
    one, other = ((*bounds, *user(number, requests=10**6)) for number in (2, 3))

    assert await admitted(counts, one, 40) == 40
    assert await admitted(counts, other, 100) == 60
    counts.close()


async def test_what_a_dead_worker_drew_runs_no_longer(workers):
    bounds = user(1, concurrency=60_000)
    await admitted(workers[0], bounds, 3)

    workers[1].forget(0)

    workers[0].flush()  # it finds its column zeroed
    assert await admitted(workers[1], bounds, 60_001) == 60_000


@LAWS
@given(most=st.integers(400, 3_000), steps=STEPS)
async def test_no_more_run_at_once_than_may_where_workers_draw(machine, most, steps):
    workers, bounds = machine(), user(1, concurrency=most)
    now, running = NOW, []
    for worker, gap, calls, what in steps:
        now += gap
        takes = [await workers[worker].take(bounds, 1, now) for _ in range(8 * calls)]
        running += [(worker, taken) for taken in takes if taken.refused is None]
        if any(taken.refused for taken in takes):
            assert len(running) >= most - most // 64
        if what == "settle":
            workers[worker].settle(now)
            for one, taken in running[: len(running) // 2]:
                workers[one].give(taken)
            del running[: len(running) // 2]

        assert len(running) <= most


async def test_what_was_not_spent_is_given_back_to_the_last_call(workers):
    bounds = user(1, requests=3_000)
    assert await admitted(workers[0], bounds, 200) == 200
    for worker in workers[1:]:
        assert await admitted(worker, bounds, 20) == 20

    for worker in workers:
        worker.flush()

    assert await admitted(workers[2], bounds, 3_000) == 3_000 - 240


async def test_a_worker_that_draws_for_one_key_does_not_refuse_another_of_its_user(workers):
    of_user = user(1, requests=3_000)
    one, two = ((*user(key, requests=10**6), *of_user) for key in (2, 3))
    await admitted(workers[0], one, 100)

    assert await admitted(workers[0], two, 3_000) == 2_900


async def test_headers_count_down_one_by_one(workers):
    bounds = user(1, requests=9_000, tokens=9_000)

    told = [standings(await workers[0].take(bounds, 3, NOW), 0.0) for _ in range(10)]

    left = [
        (one.requests and one.requests.remaining, one.tokens and one.tokens.remaining)
        for one in told
    ]
    assert left == [(9_000 - one, 9_000 - 3 * one) for one in range(1, 11)]


async def test_headers_tell_of_the_closest_of_several_limits_while_calls_are_drawn(workers):
    bounds = (
        *user(1, requests=10**6, tokens=9_000),
        *user(2, requests=9_000, tokens=10**6),
        *user(3, requests=10**6, tokens=10**6),
    )

    told = [standings(await workers[0].take(bounds, 3, NOW), 0.0) for _ in range(10)]

    assert [one.requests and one.requests.limit for one in told] == [9_000] * 10
    assert [one.tokens and one.tokens.remaining for one in told] == [
        9_000 - 3 * one for one in range(1, 11)
    ]


async def test_a_drawn_call_that_ended_is_counted_till_the_tenth_ends_and_no_longer(tmp_path):
    create(tmp_path / "limits", columns=2)
    counts, other = (SharedCounts(tmp_path / "limits", column) for column in (0, 1))
    bounds = user(1, concurrency=60_000)
    taken = [await counts.take(bounds, 1, NOW) for _ in range(40)]

    for one in taken:
        counts.give(one)
    again = [await counts.take(bounds, 1, NOW) for _ in range(40)]
    counts.flush()

    assert await admitted(other, bounds, 60_000) == 60_000 - 40
    for one in again:
        counts.give(one)
    assert await admitted(other, bounds, 60_000) == 40
    counts.close()
    other.close()


async def test_what_is_drawn_is_not_spent_after_its_time(tmp_path):
    create(tmp_path / "limits", columns=2)
    counts = SharedCounts(tmp_path / "limits", 0)
    bounds = user(1, requests=100_000)
    await admitted(counts, bounds, 2)

    later = await admitted(counts, bounds, 100_001, NOW + 10 * MINUTE)

    assert later <= 100_000
    counts.close()


async def test_who_idles_at_a_large_limit_has_it_whole_but_for_a_tenth_of_a_second(workers):
    most = 60_000

    burst = await admitted(workers[0], user(1, requests=most), most + 5)

    assert most - most // 600 <= burst <= most


async def test_tokens_said_afterwards_count_for_calls_that_were_drawn(workers):
    bounds = user(1, tokens=10_000)
    assert await admitted(workers[0], bounds, 20) == 20
    workers[0].charge(bounds, 10_000, lambda: NOW)

    workers[0].flush()

    assert await admitted(workers[0], bounds, 1) == 0
    assert await admitted(workers[1], bounds, 1) == 0
