"""Text completions over chat upstreams: what is sent, what comes back, and what is settled."""

import json

import pytest

from meterway.kit.json import decode_top
from meterway.protocols.chat.anthropic_complete import ANTHROPIC_COMPLETE
from meterway.protocols.chat.openai_completions import OPENAI_COMPLETIONS
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import UsageSource
from meterway.relay.attempts import RetryPolicy
from meterway.relay.record import Outcome
from meterway.tokens.types import estimate
from tests.factories.relays import ANTHROPIC, OPENAI, Relay, channel
from tests.fakes.transport import stream, whole

LONG = "Once upon a time " * 500
ASK = {"model": "m", "prompt": "hi"}
COMPLETE = {"model": "m", "prompt": "\n\nHuman: hi\n\nAssistant:", "max_tokens_to_sample": 9}
CHATTED = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "reasoning_content": "hm"},
            "finish_reason": "stop",
        }
    ],
}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
SAID = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "stop_sequence",
    "stop_sequence": "END",
    "usage": {"input_tokens": 5, "output_tokens": 2},
}


def piece(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


DATA = (
    piece({"role": "assistant", "content": ""})
    + piece({"reasoning_content": "hm"})
    + piece({"content": "Hé"})
    + piece({"content": "llo"})
    + piece({}, "length")
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("row", [OPENAI, ANTHROPIC])
async def test_a_completion_is_asked_of_any_chat_upstream(row):
    relay = Relay(whole(CHATTED if row is OPENAI else SAID), channels=[channel(provider=row)])

    body = json.loads(await relay.run(ASK | {"temperature": 0.5}, OPENAI_COMPLETIONS))

    (choice,) = body["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("Hello", "stop")
    sent = relay.transport.body()
    assert (sent["max_tokens"], sent["temperature"], len(sent["messages"])) == (16, 0.5, 1)
    assert "system" not in sent


@pytest.mark.parametrize("row", [OPENAI, ANTHROPIC])
async def test_turns_of_a_prompt_are_asked_of_any_chat_upstream(row):
    relay = Relay(whole(CHATTED if row is OPENAI else SAID), channels=[channel(provider=row)])

    body = json.loads(await relay.run(COMPLETE, ANTHROPIC_COMPLETE))

    assert body["completion"] == "Hello"
    assert body["stop"] == ("\n\nHuman:" if row is OPENAI else "END")
    assert relay.transport.body()["max_tokens"] == 9


@pytest.mark.parametrize(
    ("codec", "ask"), [(OPENAI_COMPLETIONS, ASK), (ANTHROPIC_COMPLETE, COMPLETE)]
)
async def test_every_cut_of_the_network_gives_the_same_stream(codec, ask):
    ask = ask | {"stream": True}
    usual = await Relay(stream(DATA)).run(ask, codec)

    for at in range(1, len(DATA)):
        assert await Relay(stream(DATA[:at], DATA[at:])).run(ask, codec) == usual


@pytest.mark.parametrize(
    ("codec", "ask", "error"),
    [
        (OPENAI_COMPLETIONS, ASK, b'data: {"error":'),
        (ANTHROPIC_COMPLETE, COMPLETE, b"event: error\n"),
    ],
)
async def test_a_cut_stream_is_told_to_the_client_in_its_dialect(codec, ask, error):
    relay = Relay(stream(piece({"content": "Hé"})))

    body = await relay.run(ask | {"stream": True}, codec)

    assert body.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2].startswith(error)
    assert relay.records[0].outcome is Outcome.UPSTREAM_CUT
    assert relay.usage.output > 0


@pytest.mark.parametrize("streams", [False, True])
async def test_an_echo_is_not_charged_as_output_where_usage_never_came(streams):
    ask = {"model": "m", "prompt": LONG, "echo": True, "stream": streams}
    codec = OPENAI_COMPLETIONS.for_call(decode_top(json.dumps(ask).encode()))
    relay = Relay(stream(DATA) if streams else whole(CHATTED))

    body = await relay.run(ask, codec)

    assert LONG.encode() in body
    assert relay.records[0].usage_source is UsageSource.ESTIMATED
    assert 0 < relay.usage.output <= estimate(len("Hello") + len("hm") + 1)


async def test_output_nobody_reported_is_what_the_model_wrote_and_not_its_frame():
    message = {"role": "assistant", "content": "Hello"}
    bare = {**CHATTED, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    relay = Relay(whole(bare))

    await relay.run(ASK, OPENAI_COMPLETIONS)

    assert relay.records[0].output_bytes == len("Hello")


@pytest.mark.parametrize(
    ("codec", "ask"), [(OPENAI_COMPLETIONS, ASK), (ANTHROPIC_COMPLETE, COMPLETE)]
)
async def test_a_tool_call_nobody_asked_for_is_the_upstreams_fault(codec, ask):
    called = {"index": 0, "message": CALLED, "finish_reason": "tool_calls"}
    once = RetryPolicy(tries=1)
    relay = Relay(whole({**CHATTED, "choices": [called]}), policy=once)

    with pytest.raises(BadReplyError):
        await relay.run(ask, codec)
