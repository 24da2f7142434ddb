"""A relay before two accounts of one vendor, neither of which reads what the other encrypted."""

import json
from typing import Any

import msgspec

from meterway.kit.json import decode_top
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import ResponsesTurn, frame_of
from meterway.protocols.dialects import Dialect
from meterway.relay.attempts import RetryPolicy
from meterway.relay.pipeline import relay
from meterway.routing.health import Breaker
from meterway.upstreams.types import Channel, Credential, Provider
from tests.factories.relays import CALLER, Relay, channel
from tests.fakes.organisations import Organisation, Organisations

RESPONSES = Provider(
    name="responses-row", title="R", source="x", speaks={Dialect.OPENAI_RESPONSES: "/responses"}
)
INCLUDE = ["reasoning.encrypted_content"]


def credential(name: str) -> Credential:
    return Credential(name, name, f"maker-of-{name}--")


class House:
    """Two channels of one model, each with an account of its own; `first` is asked first."""

    def __init__(self, *channels: Channel, breaker: Breaker | None = None) -> None:
        self.a, self.b = Organisation("a"), Organisation("b")
        transport = Organisations(self.a, self.b)
        policy = RetryPolicy(rounds=1)
        self.relay = Relay(
            channels=channels or self.channels("a", "b"),
            transport=transport,
            policy=policy,
            breaker=breaker,
        )

    @staticmethod
    def channels(*names: str) -> list[Channel]:
        """Return a channel for each account, tried in this order."""
        return [
            channel(number, RESPONSES, credentials=(credential(name),), priority=number)
            for number, name in enumerate(names, 1)
        ]

    def turn_to(self, *names: str) -> None:
        """Prefer the accounts in another order from now on, or do without some."""
        other = Relay(channels=self.channels(*names))
        self.relay.gate.router = other.gate.router

    def attempts(self) -> list[str | None]:
        """Return the accounts that the last call tried, in order."""
        return [attempt.credential for attempt in self.relay.records[-1].attempts]

    async def ask(self, *, streams: bool = False, **fields: Any) -> Any:
        """Return the output of a response, and the output that is kept of it."""
        asked = {"model": "gpt-5", "input": "Hi", "include": INCLUDE, **fields}
        body = decode_top(json.dumps(asked | {"stream": streams}).encode())
        turn = ResponsesTurn(frame_of(body, "resp_ours", 7), self.relay.clock)
        reply = await relay(Call(1, turn, body), CALLER, self.relay.gate)
        async with reply:
            told = reply.first + b"".join([chunk async for chunk in reply.rest()])
        assert turn.frame.final is not None
        assert turn.frame.final in told
        assert b'"gAAAA' not in told
        output = msgspec.json.decode(turn.frame.output or b"")
        return msgspec.json.decode(turn.frame.final)["output"], output
