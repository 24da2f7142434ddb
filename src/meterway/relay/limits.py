"""Which limits a call is held to, and what it is expected to take of them."""

from meterway.auth.types import Principal
from meterway.kit.clock import Clock
from meterway.limits.service import Admission, Limiter, Policy
from meterway.protocols.chat.call import Call
from meterway.tokens.types import estimate

_ADMIN = "admin"


class CallLimits:
    """Admits calls and token counts, each in a lane of its own."""

    def __init__(self, limiter: Limiter, policy: Policy, clock: Clock) -> None:
        self._limiter = limiter
        self._policy = policy
        self._clock = clock

    async def admit(self, call: Call, caller: Principal) -> Admission:
        """Count `call` as running. Raises `RateLimitedError`.

        Until its usage is known its tokens are estimated by the length of its body.
        """
        bounds = self._policy.calls(caller.key_id, caller.user_id, self._tier(caller))
        tokens = estimate(sum(map(len, call.body.values()))) if bounds else 0
        return await self._limiter.admit(bounds, tokens)

    async def admit_count(self, caller: Principal) -> None:
        """Count a count of tokens. Raises `RateLimitedError`."""
        bounds = self._policy.counting(caller.user_id, self._tier(caller))
        (await self._limiter.admit(bounds)).release()

    def _tier(self, caller: Principal) -> str:
        if caller.postpaid and caller.of_admin:
            return _ADMIN
        return caller.tier_at(self._clock.now())
