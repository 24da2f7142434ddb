"""Admission: all limits or none, told in words, and released exactly once however a call ends."""

import asyncio

import pytest

from meterway.limits.errors import RateLimitedError
from meterway.limits.service import (
    PER_SECOND,
    Limiter,
    Pace,
    Policy,
    create_counts,
    open_counts,
)
from meterway.limits.types import Kind, Limit, Subject, TierLimits, bound
from tests.fakes.clock import FakeClock


class JumpingClock(FakeClock):
    """A clock whose wall time may be set while the machine runs on."""

    wall = 0.0

    def now(self) -> float:
        return self.wall


@pytest.fixture
def clock():
    return FakeClock(now=5_000.0)


@pytest.fixture
def counts(tmp_path):
    create_counts(tmp_path / "limits", workers=2)
    opened = open_counts(tmp_path / "limits", 0)
    yield opened
    opened.close()


@pytest.fixture
def limiter(counts, clock):
    return Limiter(counts, clock)


def bounds(kind=Kind.USER, **limit):
    return (bound(Subject(kind, 7), Limit(**limit)),)


async def refused(limiter, to, tokens=0):
    with pytest.raises(RateLimitedError) as caught:
        await limiter.admit(to, tokens)
    return caught.value


async def test_what_is_not_limited_is_admitted_for_ever(limiter):
    for _ in range(10_000):
        with await limiter.admit((), 10**9) as admission:
            admission.end(10**9)

    assert admission.standings().requests is admission.standings().tokens is None


async def test_a_refusal_says_which_limit_and_when_to_come_back(limiter, clock):
    for _ in range(12):
        await limiter.admit(bounds(requests=12))

    error = await refused(limiter, bounds(requests=12))

    assert error.message == (
        "Rate limit reached for this user: 12 requests per minute. Try again in 5.00 s."
    )
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 5.0)
    clock.advance(5.0)
    await limiter.admit(bounds(requests=12))


@pytest.mark.parametrize(
    ("kind", "limit", "told"),
    [
        (Kind.KEY, {"tokens": 5}, "this API key: 5 tokens per minute"),
        (Kind.TIER, {"requests": 1}, "all callers of tier 7: 1 requests per minute"),
        (Kind.USER, {"concurrency": 1}, "this user: 1 calls at once"),
        (Kind.COUNTING, {"requests": 1}, "token counting by this user: 1 requests per minute"),
        (Kind.USER, {"requests": 1, "seconds": 5}, "this user: 1 requests per 5 seconds"),
    ],
)
async def test_each_limit_is_told_in_words(limiter, kind, limit, told):
    await limiter.admit(bounds(kind, **limit), 5)

    error = await refused(limiter, bounds(kind, **limit), 5)

    assert f"for {told}. " in error.message


async def test_headers_tell_of_the_limit_that_is_closest(limiter, clock):
    to = bounds(Kind.KEY, requests=100, tokens=50) + bounds(requests=10, tokens=1_000)

    left = (await limiter.admit(to, 20)).standings()

    assert left.at == clock.now()
    assert left.requests is not None
    assert left.tokens is not None
    assert (left.requests.limit, left.requests.remaining, left.requests.reset) == (10, 9, 6.0)
    assert (left.tokens.limit, left.tokens.remaining, left.tokens.reset) == (50, 30, 24.0)


async def test_a_refusal_has_the_standings_too(limiter):
    await limiter.admit(bounds(requests=1, tokens=100), 40)

    left = (await refused(limiter, bounds(requests=1, tokens=100))).standings

    assert left.requests is not None
    assert left.tokens is not None
    assert (left.requests.remaining, left.requests.reset) == (0, 60.0)
    assert left.tokens.remaining == 60


async def test_tokens_are_estimated_first_and_corrected_after(limiter):
    to = bounds(tokens=100)
    with await limiter.admit(to, 90) as first:
        await refused(limiter, to, 20)
        first.end(30)
        first.end(30)

    with await limiter.admit(to, 60) as second:
        second.end(100)

    error = await refused(limiter, to, 1)
    assert error.retry_after == pytest.approx(31 * 0.6)


async def test_an_estimate_stands_where_nothing_was_said(limiter):
    with await limiter.admit(bounds(tokens=100), 100):
        pass

    await refused(limiter, bounds(tokens=100))


async def test_a_call_without_an_estimate_still_needs_a_token(limiter):
    to = bounds(tokens=2)
    with await limiter.admit(to) as admission:
        admission.end(2)

    await refused(limiter, to)


async def test_a_running_call_is_released_once(limiter):
    to = bounds(concurrency=2)
    with await limiter.admit(to) as first:
        await limiter.admit(to)
        first.release()
        first.release()
        with await limiter.admit(to):
            await refused(limiter, to)

    await limiter.admit(to)
    await refused(limiter, to)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_running_call_is_released_however_it_ends(limiter, error):
    to = bounds(concurrency=1)

    for _ in range(3):
        with pytest.raises(error), await limiter.admit(to):
            raise error

    await limiter.admit(to)


async def test_cancelled_calls_leave_nothing_running(limiter):
    to, never = bounds(concurrency=5), asyncio.Event()

    async def call():
        with await limiter.admit(to):
            await never.wait()

    for turns in range(4):
        calls = [asyncio.create_task(call()) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    held = [await limiter.admit(to) for _ in range(5)]
    await refused(limiter, to)
    for one in held:
        one.release()


async def test_a_wall_clock_that_jumps_shuts_nobody_out_and_lets_nobody_through(counts):
    clock = JumpingClock(now=5_000.0)
    limiter = Limiter(counts, clock)

    for wall in (2e9, 0.0, 4e9, 1e9):
        clock.wall = wall
        clock.advance(60.0)
        for _ in range(3):
            await limiter.admit(bounds(requests=3))
        assert (await refused(limiter, bounds(requests=3))).standings.at == wall


TIERS = {
    "admin": TierLimits(),
    "normal": TierLimits(user=Limit(requests=12), counting=Limit(requests=2)),
    "VIP": TierLimits(user=Limit(requests=60), key=Limit(concurrency=1), total=Limit(tokens=9)),
}


def test_a_tiers_limits_are_those_of_its_keys_its_users_and_itself():
    policy = Policy(TIERS)

    vip = policy.calls(1, 2, "VIP")

    assert [(one.subject.kind, one.subject.id) for one in vip] == [
        (Kind.KEY, 1),
        (Kind.USER, 2),
        (Kind.TIER, "VIP"),
    ]
    assert [one.subject.kind for one in policy.calls(1, 2, "normal")] == [Kind.USER]
    assert policy.calls(1, 2, "admin") == policy.counting(2, "admin") == ()
    assert policy.calls(1, 2, "VIP") is vip


def test_a_tier_nobody_described_is_a_normal_one():
    assert Policy(TIERS).calls(1, 2, "GOLD") == Policy(TIERS).calls(1, 2, "normal")
    assert Policy({}).calls(1, 2, "GOLD") == ()


async def test_counting_tokens_and_paid_calls_do_not_compete(limiter):
    policy = Policy(TIERS)
    for _ in range(12):
        await limiter.admit(policy.calls(1, 2, "normal"))
    await refused(limiter, policy.calls(1, 2, "normal"))

    for _ in range(2):
        await limiter.admit(policy.counting(2, "normal"))
    await refused(limiter, policy.counting(2, "normal"))


async def test_a_user_has_one_count_over_all_keys_and_others_none_of_it(limiter):
    policy = Policy(TIERS)
    for key in range(12):
        await limiter.admit(policy.calls(key, 2, "normal"))

    await refused(limiter, policy.calls(99, 2, "normal"))
    await limiter.admit(policy.calls(99, 3, "normal"))


@pytest.mark.parametrize(("kind", "most"), PER_SECOND.items())
async def test_the_platforms_endpoints_keep_their_pace(counts, clock, kind, most):
    pace = Pace(counts, clock)
    for _ in range(most):
        await pace.keep(kind, 7)

    with pytest.raises(RateLimitedError) as caught:
        await pace.keep(kind, 7)
    await pace.keep(kind, 8)
    clock.advance(1 / most + 1e-6)
    await pace.keep(kind, 7)

    assert caught.value.retry_after == pytest.approx(1 / most)
    assert f"{kind} by this user: {most} requests per second" in caught.value.message


def test_pace_is_what_the_contract_says():
    assert PER_SECOND == {
        Kind.CREATE_KEY: 10,
        Kind.UPDATE_KEY: 10,
        Kind.LIST_KEYS: 1,
        Kind.DELETE_KEY: 50,
        Kind.EXPORT_USAGE: 1,  # our own
        Kind.PURCHASE: 1,  # our own
    }


@pytest.mark.parametrize(
    "limit", [{"requests": 0}, {"tokens": -1}, {"concurrency": 60_001}, {"seconds": 0}]
)
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="must be 1 to"):
        Limit(**limit)
