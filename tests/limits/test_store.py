"""The counts of a machine: exact, bounded in size, and never a reason to shut anybody out."""

import fcntl
import os
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterway.limits.store import LONGEST, SharedCounts, create
from meterway.limits.types import SECOND, Kind, Limit, Measure, Subject, bound, standings

NOW = 5_000_000 * SECOND
MINUTE = 60 * SECOND
LAWS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def user(number, **limit):
    return bound(Subject(Kind.USER, number), Limit(**limit))


@pytest.fixture
def path(tmp_path):
    create(tmp_path / "limits", columns=3, cells=64)
    return tmp_path / "limits"


@pytest.fixture
def counts(path):
    opened = SharedCounts(path, 0)
    yield opened
    opened.close()


@pytest.fixture
def anew(tmp_path):
    """Make counts of their own for each example of a law."""
    made: list[SharedCounts] = []

    def make():
        path = tmp_path / f"limits-{len(made)}"
        create(path, columns=2, cells=16)
        made.append(SharedCounts(path, 1))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def admitted(counts, bounds, times, now=NOW, tokens=1):
    return sum([(await counts.take(bounds, tokens, now)).refused is None for _ in range(times)])


@pytest.mark.parametrize("most", [1, 2, 3, 7, 12, 59, 61, 999])
async def test_exactly_a_minutes_worth_may_come_at_once(counts, most):
    assert await admitted(counts, [user(1, requests=most)], most + 5) == most


@pytest.mark.parametrize("most", [1, 7, 12, 59])
async def test_after_that_one_comes_each_step(counts, most):
    bounds = [user(1, requests=most)]
    await admitted(counts, bounds, most)
    step = -(-MINUTE // most)

    early = await admitted(counts, bounds, 1, NOW + step - 1)
    due = await admitted(counts, bounds, 3, NOW + step)

    assert (early, due) == (0, 1)


@LAWS
@given(
    most=st.integers(1, 40),
    gaps=st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=120),
)
async def test_never_more_than_the_burst_plus_the_rate_times_the_time(anew, most, gaps):
    counts, now, times = anew(), NOW, []
    for gap in gaps:
        now += gap
        if (await counts.take([user(1, requests=most)], 1, now)).refused is None:
            times.append(now)

    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = most + (times[last] - times[first]) * most // MINUTE
            assert last - first + 1 <= allowed


@LAWS
@given(
    most=st.integers(1, 5_000),
    calls=st.lists(
        st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 6_000)), min_size=1, max_size=60
    ),
)
async def test_tokens_keep_the_same_law_once_they_fit_a_minute(anew, most, calls):
    counts, now, taken = anew(), NOW, []
    for gap, wanted in calls:
        now += gap
        tokens = min(wanted, most)
        if (await counts.take([user(1, tokens=most)], tokens, now)).refused is None:
            taken.append((now, tokens))

    for first in range(len(taken)):
        spent = 0
        for last in range(first, len(taken)):
            spent += taken[last][1]
            assert spent <= most + (taken[last][0] - taken[first][0]) * most // MINUTE


@LAWS
@given(
    requests=st.integers(1, 20),
    tokens=st.integers(1, 500),
    calls=st.lists(
        st.tuples(st.integers(0, 5 * SECOND), st.integers(0, 900), st.integers(-900, 900)),
        max_size=40,
    ),
)
async def test_who_waits_as_long_as_is_said_is_admitted(anew, requests, tokens, calls):
    counts, now = anew(), NOW
    bounds = [user(1, requests=requests, tokens=tokens), user(2, requests=requests + 1)]
    for gap, wanted, correction in calls:
        now += gap
        taken = await counts.take(bounds, wanted, now)
        if taken.refused is not None:
            assert taken.refused.wait > 0
            now += taken.refused.wait
            taken = await counts.take(bounds, wanted, now)
        assert taken.refused is None
        counts.charge(bounds, correction, partial(int, now))


@LAWS
@given(spent=st.integers(1, 400), more=st.integers(1, 40_000))
async def test_a_correction_taken_back_changes_nothing(anew, spent, more):
    counts, bounds = anew(), [user(1, tokens=400)]
    await counts.take(bounds, spent, NOW)
    counts.charge(bounds, more, lambda: NOW)
    counts.charge(bounds, -more, lambda: NOW)

    left = standings(await counts.take(bounds, 0, NOW), 0.0).tokens

    assert left is not None
    assert left.remaining == 400 - spent


async def test_a_refusal_by_one_is_counted_by_none(counts):
    wide, narrow = user(1, requests=10, tokens=100, concurrency=9), user(2, requests=1)
    await counts.take([wide, narrow], 10, NOW)

    for order in ([wide, narrow], [narrow, wide]):
        assert (await counts.take(order, 10, NOW)).refused is not None
    alone = await counts.take([wide], 10, NOW)

    left = standings(alone, 0.0)
    assert left.requests is not None
    assert left.tokens is not None
    assert (left.requests.remaining, left.tokens.remaining) == (8, 80)


async def test_a_refusal_names_the_limit_that_holds_longest(counts):
    short, long = user(1, requests=60), user(2, requests=1)
    await admitted(counts, [short], 60)
    await admitted(counts, [long], 1)

    for order in ([short, long], [long, short]):
        taken = await counts.take(order, 1, NOW)

        assert taken.refused is not None
        assert (taken.refused.bound, taken.refused.wait) == (long, MINUTE)


async def test_a_call_larger_than_a_minute_is_admitted_when_nothing_is_owed(counts):
    bounds = [user(1, tokens=100)]

    assert await admitted(counts, bounds, 1, tokens=250) == 1
    assert await admitted(counts, bounds, 1, tokens=1) == 0
    assert await admitted(counts, bounds, 1, NOW + 2 * MINUTE, tokens=250) == 0
    assert await admitted(counts, bounds, 1, NOW + 5 * MINUTE // 2, tokens=250) == 1


async def test_a_debt_delays_the_next_but_not_for_ever(counts):
    bounds = [user(1, tokens=10)]
    await counts.take(bounds, 1, NOW)
    counts.charge(bounds, 10**9, lambda: NOW)

    refused = (await counts.take(bounds, 1, NOW)).refused

    assert refused is not None
    assert refused.measure is Measure.TOKENS
    assert refused.wait <= LONGEST
    assert await admitted(counts, bounds, 1, NOW + refused.wait) == 1


async def test_other_workers_learn_of_a_correction_a_moment_later(counts, path):
    other, bounds = SharedCounts(path, 1), [user(1, tokens=10)]
    await counts.take(bounds, 1, NOW)
    counts.charge(bounds, 5, lambda: NOW)
    counts.charge(bounds, 4, lambda: NOW)

    before = await admitted(other, bounds, 1)
    counts.flush()

    assert before == 1
    assert await admitted(other, bounds, 1) == 0
    other.close()


async def test_what_was_due_when_a_worker_closes_is_counted(counts, path):
    other, bounds = SharedCounts(path, 1), [user(1, tokens=10)]
    other.charge(bounds, 10, lambda: NOW)

    other.close()

    assert await admitted(counts, bounds, 1) == 0


async def test_an_absurd_estimate_owes_no_more_than_that_either(counts):
    bounds = [user(1, tokens=1)]
    await counts.take(bounds, 10**12, NOW)

    assert await admitted(counts, bounds, 1, NOW + LONGEST) == 1


async def test_running_calls_are_counted_over_all_workers(counts, path):
    other = SharedCounts(path, 2)
    bounds = [user(1, concurrency=3)]
    mine = [await counts.take(bounds, 1, NOW) for _ in range(2)]
    theirs = await other.take(bounds, 1, NOW)

    full = await counts.take(bounds, 1, NOW)
    other.give(theirs)
    again = await counts.take(bounds, 1, NOW)

    assert full.refused is not None
    assert (full.refused.measure, full.refused.wait) == (Measure.CONCURRENCY, 0)
    assert again.refused is None
    assert all(taken.refused is None for taken in [*mine, theirs])
    other.close()


async def test_a_dead_workers_column_is_zeroed_and_no_other(counts, path):
    dead, bounds = SharedCounts(path, 1), [user(1, concurrency=5)]
    await admitted(dead, bounds, 3)
    await admitted(counts, bounds, 1)
    parent = SharedCounts(path, None)

    before = await admitted(counts, bounds, 2)
    parent.forget(1)

    assert before == 1
    assert await admitted(counts, bounds, 9) == 3
    dead.close()
    parent.close()


async def test_a_worker_begins_with_nothing_running(counts, path):
    dead, bounds = SharedCounts(path, 1), [user(1, concurrency=2)]
    await admitted(dead, bounds, 2)
    dead.close()
    assert await admitted(counts, bounds, 1) == 0

    SharedCounts(path, 1).close()

    assert await admitted(counts, bounds, 9) == 2


async def test_a_call_given_back_after_its_column_was_zeroed_takes_nothing_away(counts):
    bounds = [user(1, concurrency=2)]
    before = await counts.take(bounds, 1, NOW)
    counts.forget(0)
    after = await counts.take(bounds, 1, NOW)

    counts.give(before)
    counts.give(after)

    assert await admitted(counts, bounds, 9) == 2


async def test_two_newcomers_of_one_call_do_not_share_a_cell(tmp_path):
    create(tmp_path / "small", columns=1, cells=16)
    counts = SharedCounts(tmp_path / "small", 0)
    await admitted(counts, [user(number, requests=4) for number in range(16)], 1)

    later = [user(number, requests=number - 15) for number in range(16, 19)]
    both = await admitted(counts, later, 5, NOW + MINUTE)

    assert both == 1
    assert await admitted(counts, later[2:], 5, NOW + MINUTE) == 2
    counts.close()


async def test_a_full_table_forgets_who_owes_least(tmp_path):
    create(tmp_path / "small", columns=1, cells=16)
    counts = SharedCounts(tmp_path / "small", 0)
    crowd = [[user(number, requests=100)] for number in range(16)]
    for number, bounds in enumerate(crowd):
        await admitted(counts, bounds, 50 + number)

    newcomer = await admitted(counts, [user(99, requests=1)], 2)
    most_owing = await admitted(counts, crowd[15], 100)
    forgotten = await admitted(counts, crowd[0], 100)

    assert (newcomer, most_owing, forgotten) == (1, 35, 100)
    assert (tmp_path / "small").stat().st_size == 64 + 16 * 32
    counts.close()


async def test_in_a_table_full_of_running_calls_a_newcomer_is_not_counted_but_served(tmp_path):
    create(tmp_path / "small", columns=1, cells=16)
    counts = SharedCounts(tmp_path / "small", 0)
    for number in range(16):
        await admitted(counts, [user(number, concurrency=2)], 1)

    newcomer = await counts.take([user(99, concurrency=1, requests=1)], 1, NOW + MINUTE)
    counts.give(newcomer)

    assert newcomer.refused is None
    assert newcomer.marks == []
    assert await admitted(counts, [user(3, concurrency=2)], 3) == 1
    counts.close()


async def test_cells_whose_time_is_past_make_room(tmp_path):
    create(tmp_path / "small", columns=1, cells=16)
    counts = SharedCounts(tmp_path / "small", 0)

    for minute in range(200):
        now = NOW + minute * MINUTE
        assert await admitted(counts, [user(minute, requests=4)], 6, now) == 4
    counts.close()


async def test_an_instant_nobody_can_have_written_shuts_nobody_out(counts):
    bounds = [user(1, requests=5, tokens=100)]
    await counts.take(bounds, 1, NOW + 100 * LONGEST)

    refused = await counts.take(bounds, 1, NOW)

    assert refused.refused is None
    assert await admitted(counts, bounds, 9) == 5


async def test_a_changed_limit_holds_at_once(counts):
    await admitted(counts, [user(1, requests=12)], 12)

    assert await admitted(counts, [user(1, requests=60)], 1, NOW + SECOND - 1) == 0
    assert await admitted(counts, [user(1, requests=60)], 1, NOW + SECOND) == 1
    assert await admitted(counts, [user(1)], 5) == 5


async def test_a_holder_that_stopped_stops_nobody(path):
    counts = SharedCounts(path, 0, patience=10)
    bounds = [user(1, requests=3)]
    await admitted(counts, bounds, 1)
    stopped = os.open(path, os.O_RDWR)
    fcntl.flock(stopped, fcntl.LOCK_EX)

    meanwhile = await admitted(counts, bounds, 5)
    unknown = await admitted(counts, [user(2, requests=1)], 2)
    os.close(stopped)

    assert (meanwhile, unknown) == (2, 2)
    assert await admitted(counts, bounds, 5) == 0
    assert await admitted(counts, [user(2, requests=1)], 2) == 1
    counts.close()


def test_a_file_of_something_else_is_not_opened(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(4096))

    with pytest.raises(ValueError, match="other holds no counts"):
        SharedCounts(other, 0)


def test_counts_are_not_made_over_others(path):
    with pytest.raises(FileExistsError):
        create(path, columns=1)
