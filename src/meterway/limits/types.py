"""What is limited, how much of it there is, and what is left: values, and the seam for counting.

A rate is kept as one instant per subject, its theoretical arrival time (GCRA, ITU-T I.371): each
request moves the instant `step` nanoseconds on, from now at least, and is admitted while the
instant lies at most `room` ahead. So a whole period's worth may come at once, and after that one
request per step: never more than the burst plus the rate times the time.
"""

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

SECOND = 1_000_000_000  # nanoseconds
_MINUTE = 60
_MOST, _MOST_AT_ONCE = 10**9, 60_000
_ENDLESS = 2**62  # nanoseconds; the room of what has no limit


class Kind(StrEnum):
    """What a subject is; the value is how a caller is told."""

    KEY = "API key"
    USER = "user"
    TIER = "tier"
    COUNTING = "token counting"
    CREATE_KEY = "creating keys"
    UPDATE_KEY = "updating keys"
    LIST_KEYS = "listing keys"
    DELETE_KEY = "deleting keys"
    EXPORT_USAGE = "exporting usage"
    PURCHASE = "purchases"


class Measure(StrEnum):
    """What of a subject is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"


class Subject(msgspec.Struct, frozen=True):
    """Who or what is counted; every worker of a machine counts it in the same place."""

    kind: Kind
    id: int | str


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed: requests and tokens per `seconds`, calls at once; None is unlimited."""

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None
    seconds: int = _MINUTE

    def __post_init__(self) -> None:
        most = {"requests": _MOST, "tokens": _MOST, "concurrency": _MOST_AT_ONCE, "seconds": 3600}
        for name, highest in most.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= highest:
                raise ValueError(f"{name} must be 1 to {highest}, or None for no limit.")

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return any((self.requests, self.tokens, self.concurrency))


class TierLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a membership tier; all but `counting` are for paid calls.

    `user` holds for each of its users, `key` for each key of one, `total` for the whole tier.
    """

    user: Limit = Limit()
    key: Limit = Limit()
    total: Limit = Limit()
    counting: Limit = Limit()


Figures: TypeAlias = tuple[int, int, int, int, int, int]
"""A bound for the hot path: number, step and room of requests, the same of tokens, concurrency.

The number names the subject in 64 bits and is never 0. Times are in nanoseconds; what is unlimited
has no step and endless room. Concurrency 0 is unlimited.
"""


class Bound(msgspec.Struct, frozen=True):
    """A subject with its limit, made ready for counting by `bound`."""

    subject: Subject
    limit: Limit
    figures: Figures


def bound(subject: Subject, limit: Limit) -> Bound:
    """Make `limit` of `subject` ready for counting."""
    text = f"{subject.kind.name}:{subject.id}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    period = limit.seconds * SECOND
    requests, tokens = _pace(limit.requests, period), _pace(limit.tokens, period)
    return Bound(subject, limit, (number or 1, *requests, *tokens, limit.concurrency or 0))


def _pace(most: int | None, period: int) -> tuple[int, int]:
    """Return step and room; the step is rounded up, so that the rate is never exceeded."""
    if most is None:
        return 0, _ENDLESS
    step = -(-period // most)
    return step, step * most


Mark: TypeAlias = tuple[Bound, int, int, int]
"""Where a subject stood after a decision: its arrival times for requests and tokens, in
nanoseconds; the last figure is the store's own."""


class Refusal(msgspec.Struct, frozen=True):
    """Which limit refused a call, and the nanoseconds until all of them would admit it.

    `wait` is 0 for concurrency: nobody knows when a running call ends.
    """

    bound: Bound
    measure: Measure
    wait: int


class Lender(Protocol):
    """Of whom a call was had that was counted before it came."""

    def keep(self) -> bool:
        """Go on counting a call that ended as running, for the next; False with enough of them."""


class Taken(msgspec.Struct):
    """The answer to a wish: `refused`, or what was taken for it.

    `marks` has the subjects that were counted, or of them those with the least left. `places` is
    where the store counted the running call, and `lender` of whom it had it: its own business.
    """

    now: int
    marks: Sequence[Mark]
    places: Sequence[int] = ()
    refused: Refusal | None = None
    lender: Lender | None = None


class Counts(Protocol):
    """Where requests, tokens and running calls are counted, for all who share the store.

    `now` is in nanoseconds, on a clock that never goes back and that all sharers read alike.
    """

    async def take(self, bounds: Sequence[Bound], tokens: int, now: int) -> Taken:
        """Count a request of `tokens` tokens against all of `bounds`, or against none.

        More tokens than a period allows are admitted when nothing else is owed; what goes beyond
        is owed, and delays the next.
        """

    def at_once(self, bounds: Sequence[Bound], tokens: int, now: int) -> Taken | None:
        """Do the same without waiting; None where that takes asking somebody, and nothing is done.

        Most calls take this way, which costs no coroutine.
        """

    def charge(self, bounds: Sequence[Bound], tokens: int, now: Callable[[], int]) -> None:
        """Count `tokens` more, or where negative fewer, whether they are allowed or not.

        Others may learn of it a moment later. `now` is asked where the time matters.
        """

    def give(self, taken: Taken) -> None:
        """Count the call of `taken` as running no longer; its requests and tokens stay counted.

        Others may learn of it a moment later, while there is plenty.
        """


class Standing(msgspec.Struct, frozen=True):
    """What is left of a limit; `reset` is in seconds, until nothing of it is used."""

    limit: int
    remaining: int
    reset: float


class Standings(msgspec.Struct, frozen=True):
    """What is left of the limits a caller is closest to; `at` is in seconds since the epoch."""

    at: float
    requests: Standing | None = None
    tokens: Standing | None = None


def standings(taken: Taken, at: float) -> Standings:
    """Return what was left after a decision, of the limit with the least left."""
    requests = tokens = None
    now = taken.now
    for bound, arrival, owed, _ in taken.marks:
        limit, (_, request_step, _, token_step, _, _) = bound.limit, bound.figures
        if (most := limit.requests) is not None:
            one = _standing(most, arrival - now, request_step)
            requests = one if requests is None else _closer(requests, one)
        if (most := limit.tokens) is not None:
            one = _standing(most, owed - now, token_step)
            tokens = one if tokens is None else _closer(tokens, one)
    return Standings(at, requests, tokens)


def telling(marks: Sequence[Mark], now: int) -> Sequence[Mark]:
    """Return those of the marks that `standings` tells of, two at most."""
    told = standings(Taken(now, marks), 0.0)
    found: dict[str, Mark] = {}
    for mark in marks:
        one = standings(Taken(now, [mark]), 0.0)
        if one.requests is not None and one.requests == told.requests:
            found.setdefault("requests", mark)
        if one.tokens is not None and one.tokens == told.tokens:
            found.setdefault("tokens", mark)
    return [mark for mark in marks if mark in found.values()]


def _standing(limit: int, ahead: int, step: int) -> Standing:
    used = -(-ahead // step)
    return Standing(limit, limit - used if used < limit else 0, ahead / SECOND)


def _closer(one: Standing, other: Standing) -> Standing:
    """Return the one with less left, or as much but later renewed."""
    closer = (other.remaining, -other.reset) < (one.remaining, -one.reset)
    return other if closer else one
