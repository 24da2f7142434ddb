"""Whom a count is asked of: the provider's own counter in the client's dialect, else ours."""

import json
from typing import Any

import pytest

from meterway.kit.json import decode_top
from meterway.protocols.dialects import Dialect
from meterway.relay.counting import InputCounter
from meterway.tokens.service import TokenCounter
from meterway.tokens.types import TokenSource
from meterway.upstreams.providers import PROVIDERS
from tests.factories.relays import CALLER, Relay, channel
from tests.fakes.local_counting import LocalCounting
from tests.fakes.transport import whole

GEMINI, MESSAGES = Dialect.GEMINI, Dialect.ANTHROPIC_MESSAGES
CONTENTS = [{"parts": [{"text": "Say test"}]}]
BODIES: dict[Dialect, dict[str, Any]] = {
    GEMINI: {"contents": CONTENTS, "safetySettings": []},
    MESSAGES: {"messages": [{"role": "user", "content": "Say test"}], "stream": True},
}


async def count(provider: str, dialect: Dialect, *answers):
    relay = Relay(
        *answers, channels=[channel(provider=PROVIDERS[provider], models={"m": "models/upstream"})]
    )
    counter = TokenCounter(LocalCounting())
    body = decode_top(json.dumps({"model": "m", **BODIES[dialect]}).encode())
    counting = InputCounter(relay.gate, counter, relay.transport)
    found = await counting.count(dialect, body, {}, CALLER)
    await counter.close()
    return found, relay.transport


async def test_google_counts_a_whole_request_for_a_client_of_its_own():
    found, transport = await count("gemini", GEMINI, whole({"totalTokens": 41}))

    assert (found.tokens, found.source) == (41, TokenSource.UPSTREAM)
    (sent,) = transport.sent
    assert sent.url.target.endswith("/v1beta/models/upstream:countTokens")
    assert transport.body() == {
        "generateContentRequest": {"model": "models/upstream", "contents": CONTENTS}
    }


async def test_anthropic_counts_what_bears_on_the_count():
    found, transport = await count("anthropic", MESSAGES, whole({"input_tokens": 9}))

    assert (found.tokens, found.source) == (9, TokenSource.UPSTREAM)
    assert "stream" not in transport.body()


@pytest.mark.parametrize(
    ("provider", "dialect"), [("gemini", MESSAGES), ("anthropic", GEMINI), ("openai", GEMINI)]
)
async def test_a_counter_of_another_dialect_is_not_asked(provider: str, dialect: Dialect):
    found, transport = await count(provider, dialect)

    assert found.source is not TokenSource.UPSTREAM
    assert found.tokens > 0
    assert transport.sent == []


async def test_what_a_counter_answers_in_no_known_form_is_counted_here():
    found, _ = await count("gemini", GEMINI, whole({"other": 1}))

    assert found.source is not TokenSource.UPSTREAM
