"""Admits calls within their limits, and keeps the pace of the platform's endpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from meterway.kit.clock import Clock
from meterway.limits.errors import RateLimitedError
from meterway.limits.store import SharedCounts, create
from meterway.limits.types import (
    SECOND,
    Bound,
    Counts,
    Kind,
    Limit,
    Measure,
    Refusal,
    Standings,
    Subject,
    Taken,
    TierLimits,
    bound,
    standings,
)

PER_SECOND: Mapping[Kind, int] = {
    Kind.CREATE_KEY: 10,
    Kind.UPDATE_KEY: 10,
    Kind.LIST_KEYS: 1,
    Kind.DELETE_KEY: 50,
    Kind.EXPORT_USAGE: 1,
    Kind.PURCHASE: 1,
}
_REMEMBERED = 50_000  # callers whose bounds a worker remembers
_SOON = 1.0  # seconds; when to come back where nobody knows when a running call ends
_NOTHING = Taken(0, ())
_PERIODS = {1: "second", 60: "minute", 3600: "hour"}


def create_counts(path: Path, workers: int) -> None:
    """Make the file in which the workers of a machine count together. Raises `OSError`."""
    create(path, workers)


def open_counts(path: Path, worker: int | None) -> SharedCounts:
    """Open that file in a worker, by its number from 0; a parent has None.

    A worker's running calls begin at none. The parent calls `forget(number)` on its own when a
    worker died. Raises `OSError`, and `ValueError` for a file that is none of ours.
    """
    return SharedCounts(path, worker)


class Policy:
    """Which limits hold for whom, by membership tier.

    A tier nobody described has the limits of `fallback`.
    """

    def __init__(self, tiers: Mapping[str, TierLimits], *, fallback: str = "normal") -> None:
        self._tiers = tiers
        self._fallback = tiers.get(fallback, TierLimits())
        self._known: dict[tuple[int | str, ...], Sequence[Bound]] = {}

    def calls(self, key_id: int, user_id: int, tier: str) -> Sequence[Bound]:
        """Return what bounds the paid calls of a key; empty where nothing does."""
        found = self._known.get((key_id, user_id, tier))
        if found is None:
            limits = self._tiers.get(tier, self._fallback)
            found = self._known_from_now_on(
                (key_id, user_id, tier),
                (Subject(Kind.KEY, key_id), limits.key),
                (Subject(Kind.USER, user_id), limits.user),
                (Subject(Kind.TIER, tier), limits.total),
            )
        return found

    def counting(self, user_id: int, tier: str) -> Sequence[Bound]:
        """Return what bounds a user's token counts: a lane of its own beside paid calls."""
        found = self._known.get((user_id, tier))
        if found is None:
            limit = self._tiers.get(tier, self._fallback).counting
            subject = Subject(Kind.COUNTING, user_id)
            found = self._known_from_now_on((user_id, tier), (subject, limit))
        return found

    def _known_from_now_on(
        self, caller: tuple[int | str, ...], *wanted: tuple[Subject, Limit]
    ) -> Sequence[Bound]:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        bounds = tuple(bound(subject, limit) for subject, limit in wanted if limit.limits)
        self._known[caller] = bounds
        return bounds


class Admission(msgspec.Struct):
    """One admitted call, counted as running until `release`, or until the end of its `with`.

    Enter it at once, `with await limiter.admit(...)`: nothing can come between, and however the
    block is left, the call is released once. `tokens` is what was counted for it so far.
    """

    counts: Counts
    clock: Clock
    bounds: Sequence[Bound]
    taken: Taken
    tokens: int
    running: bool = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Count the call as running no longer; only the first time counts."""
        if self.running:
            self.running = False
            self.counts.give(self.taken)

    def end(self, tokens: int) -> None:
        """Release the call, which took so many tokens in all instead of what was estimated.

        May be said again; where it is never said, the estimate stands.
        """
        more, self.tokens = tokens - self.tokens, tokens
        if more:
            self.counts.charge(self.bounds, more, self.now)
        if self.running:
            self.running = False
            self.counts.give(self.taken)

    def now(self) -> int:
        """Return the time as counts take it."""
        return int(self.clock.monotonic() * SECOND)

    def standings(self) -> Standings:
        """Return what was left of the caller's limits once this call was admitted."""
        return standings(self.taken, self.clock.now())


class Limiter:
    """Admits calls; `counts` may be shared with other workers."""

    def __init__(self, counts: Counts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock
        self._monotonic = clock.monotonic

    async def admit(self, bounds: Sequence[Bound], tokens: int = 0) -> Admission:
        """Count a call against all of `bounds`, or raise `RateLimitedError` and count nothing.

        `tokens` is what the call is expected to take; at least one.
        """
        tokens = tokens or 1
        if not bounds:
            return Admission(self._counts, self._clock, bounds, _NOTHING, tokens, False)
        now = int(self._monotonic() * SECOND)
        taken = self._counts.at_once(bounds, tokens, now)
        if taken is None:
            taken = await self._counts.take(bounds, tokens, now)
        if taken.refused is not None:
            raise _refused(taken, taken.refused, self._clock.now())
        return Admission(self._counts, self._clock, bounds, taken, tokens)


class Pace:
    """Keeps each user of the platform's key endpoints to so many requests a second."""

    def __init__(self, counts: Counts, clock: Clock) -> None:
        self._limiter = Limiter(counts, clock)
        self._limits = {kind: Limit(requests=most, seconds=1) for kind, most in PER_SECOND.items()}

    async def keep(self, kind: Kind, user_id: int, /) -> None:
        """Count a request to an endpoint of `PER_SECOND`. Raises `RateLimitedError`."""
        await self._limiter.admit((bound(Subject(kind, user_id), self._limits[kind]),))


def _refused(taken: Taken, refusal: Refusal, at: float) -> RateLimitedError:
    wait = refusal.wait / SECOND if refusal.wait else _SOON
    message = f"Rate limit reached for {_named(refusal)}. Try again in {max(wait, 0.01):.2f} s."
    return RateLimitedError(message, retry_after=wait, standings=standings(taken, at))


def _named(refusal: Refusal) -> str:
    subject, limit = refusal.bound.subject, refusal.bound.limit
    match subject.kind:
        case Kind.KEY | Kind.USER:
            who = f"this {subject.kind}"
        case Kind.TIER:
            who = f"all callers of tier {subject.id}"
        case _:
            who = f"{subject.kind} by this user"
    if refusal.measure is Measure.CONCURRENCY:
        return f"{who}: {limit.concurrency} calls at once"
    most = limit.requests if refusal.measure is Measure.REQUESTS else limit.tokens
    period = _PERIODS.get(limit.seconds, f"{limit.seconds} seconds")
    return f"{who}: {most} {refusal.measure} per {period}"
