"""Which limits a call is held to, and what it is expected to take of them."""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from meterway.auth.types import Principal
from meterway.kit.clock import Clock
from meterway.limits.service import Admission, Limiter, Policy
from meterway.limits.types import Bound
from meterway.protocols.chat.call import Call
from meterway.tokens.types import estimate

_ADMIN = "admin"
_REMEMBERED = 10_000  # callers


class _Held(NamedTuple):
    """What a caller is held to, between two moments; keeping the caller keeps its identity."""

    caller: Principal
    since: float
    until: float
    bounds: Sequence[Bound]


class CallLimits:
    """Admits calls and token counts, each in a lane of its own."""

    def __init__(self, limiter: Limiter, policy: Policy, clock: Clock) -> None:
        self._limiter = limiter
        self._policy = policy
        self._clock = clock
        self._held: dict[int, _Held] = {}

    def admit(self, call: Call, caller: Principal) -> Awaitable[Admission]:
        """Count `call` as running. Raises `RateLimitedError`.

        Until its usage is known its tokens are estimated by the length of its body.
        """
        now, held = self._clock.now(), self._held.get(id(caller))
        if held is None or not held.since <= now < held.until:
            held = self._look_up(caller, now)
        tokens = estimate(sum(map(len, call.body.values()))) if held.bounds else 0
        return self._limiter.admit(held.bounds, tokens)

    def _look_up(self, caller: Principal, now: float) -> _Held:
        if len(self._held) >= _REMEMBERED:
            self._held.clear()
        bounds = self._policy.calls(caller.key_id, caller.user_id, self._tier(caller))
        held = self._held[id(caller)] = _Held(caller, *caller.span_of_tier(now), bounds)
        return held

    async def admit_count(self, caller: Principal) -> None:
        """Count a count of tokens. Raises `RateLimitedError`."""
        bounds = self._policy.counting(caller.user_id, self._tier(caller))
        (await self._limiter.admit(bounds)).release()

    def _tier(self, caller: Principal) -> str:
        if caller.postpaid and caller.of_admin:
            return _ADMIN
        return caller.tier_at(self._clock.now())
