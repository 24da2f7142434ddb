"""The sentence every paid call follows, from top to bottom."""

from collections.abc import Callable
from typing import TypeAlias

from meterway.auth.types import Principal
from meterway.protocols.chat.call import Call
from meterway.relay.attempts import Attempts
from meterway.relay.limits import CallLimits
from meterway.relay.stream import Reply
from meterway.relay.till import Till
from meterway.routing.router import Router

Rewrite: TypeAlias = Callable[[Call, Principal], Call]


class Gate:
    """What a call passes on its way; each process has one, and replaces `router` when it moves."""

    def __init__(
        self,
        rewrite: Rewrite,
        router: Router,
        limits: CallLimits,
        till: Till,
        attempts: Attempts,
    ) -> None:
        self.rewrite = rewrite
        self.router = router
        self.limits = limits
        self.till = till
        self.attempts = attempts


async def relay(call: Call, caller: Principal, gate: Gate) -> Reply:
    """Serve one paid call: the whole product, top to bottom.

    Raises what the steps raise; once it returned, the reply settles the hold when it ends.
    """
    call = gate.rewrite(call, caller)
    gate.router.permit(call.facts.model, caller.allows)
    routes = gate.router.candidates(call.facts.model, call.codec.dialect, call.makers)
    admission = await gate.limits.admit(call, caller)
    with await gate.till.hold(call, caller, admission) as hold:
        answer = await gate.attempts.first(call, routes, hold.record)
        call.release()  # no other attempt can follow, so the request need not be kept
        return Reply(answer, hold, call.codec)


def unchanged(call: Call, caller: Principal) -> Call:  # noqa: ARG001 - the shape of a Rewrite
    """Leave `call` as it is: the rewrite of an owner without rules."""
    return call
