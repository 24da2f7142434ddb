"""Makes what a relay needs, around a scripted transport and a fake clock."""

import json
from typing import Any

from meterway.auth.types import Principal
from meterway.catalog.service import Catalog
from meterway.kit.json import decode_top
from meterway.limits.service import Limiter, Policy
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codec import ClientCodec
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage
from meterway.relay.attempts import Attempts, RetryPolicy
from meterway.relay.billing import Billing
from meterway.relay.exchange import Exchange
from meterway.relay.limits import CallLimits
from meterway.relay.materials import Materials
from meterway.relay.pipeline import Gate, relay, unchanged
from meterway.relay.record import CallRecord
from meterway.relay.stream import Reply
from meterway.relay.till import Till
from meterway.routing.health import Breaker, Health
from meterway.routing.router import Router
from meterway.upstreams.transport import Transport
from meterway.upstreams.types import Channel, Credential, Provider
from tests.fakes.clock import FakeClock
from tests.fakes.transport import ScriptedTransport

CALLER = Principal(key_id=7, user_id=3, key_name="sk-ab***cdef", postpaid=True)
OPENAI = Provider(
    name="openai-row",
    title="O",
    source="x",
    speaks={Dialect.OPENAI_CHAT: "/chat/completions"},
)
ANTHROPIC = Provider(
    name="anthropic-row",
    title="A",
    source="x",
    speaks={Dialect.ANTHROPIC_MESSAGES: "/v1/messages"},
)


def channel(id_: int = 1, provider: Provider = OPENAI, **facts) -> Channel:
    facts.setdefault("credentials", (Credential("a", "secret-a"),))
    return Channel(id=id_, name=f"c{id_}", provider=provider, base_url="http://up/v1", **facts)


class _NoCounts:
    """Counts that nobody asks, since nothing is limited."""


def unlimited(clock) -> CallLimits:
    """Admit everything."""
    limiter = Limiter(_NoCounts(), clock)  # type: ignore[arg-type]  # never asked
    return CallLimits(limiter, Policy({}), clock)


class Relay:
    """A relay over scripted answers; `records` holds what was settled."""

    def __init__(
        self,
        *answers,
        channels=None,
        policy=None,
        breaker=None,
        billing: Billing | None = None,
        materials: Materials | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.transport = ScriptedTransport(*answers)
        self.health = Health(self.clock, breaker or Breaker(threshold=3, first=5))
        self.records: list[CallRecord] = []
        router = Router(channels or [channel()], Catalog([]), self.health)
        exchange = Exchange({"network": transport or self.transport}, CODECS, self.clock, materials)
        attempts = Attempts(exchange, self.health, self.clock, policy or RetryPolicy())
        till = Till(self.clock, [self.records.append], billing)
        self.gate = Gate(unchanged, router, unlimited(self.clock), till, attempts)

    @property
    def usage(self) -> Usage:
        """The usage of the call that was settled last."""
        usage = self.records[-1].usage
        assert usage is not None
        return usage

    async def start(
        self, body: dict[str, Any], said: Dialect | ClientCodec = Dialect.OPENAI_CHAT
    ) -> Reply:
        """Relay one call, said in a dialect or by a codec of its own, up to its first bytes."""
        codec = CODECS[said] if isinstance(said, Dialect) else said
        call = Call(1, codec, decode_top(json.dumps(body).encode()))
        return await relay(call, CALLER, self.gate)

    async def run(
        self, body: dict[str, Any], said: Dialect | ClientCodec = Dialect.OPENAI_CHAT
    ) -> bytes:
        """Relay one call to its end and return all the client's bytes."""
        reply = await self.start(body, said)
        async with reply:
            return reply.first + b"".join([chunk async for chunk in reply.rest()])
