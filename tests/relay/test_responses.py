"""Calls of clients that speak Responses, over upstreams of its own and of other dialects."""

import pytest

from meterway.kit import json, sse
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import ResponsesTurn, frame_of
from meterway.protocols.dialects import Dialect
from meterway.relay.pipeline import relay
from meterway.relay.record import Outcome
from meterway.upstreams.errors import CutConnectionError
from meterway.upstreams.types import Provider
from tests.factories.relays import CALLER, OPENAI, Relay, channel
from tests.fakes.transport import stream, whole
from tests.protocols.chat.openai_responses import upstream

OWN = Provider(
    name="responses-row", title="R", source="x", speaks={Dialect.OPENAI_RESPONSES: "/responses"}
)
USED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
HELLO = {"role": "assistant", "content": "Hello"}
CHAT_REPLY = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "message": HELLO, "finish_reason": "stop"}],
    "usage": USED,
}


def chunk(delta: dict[str, str], **fields) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
    return sse.render(json.encode({"id": "c", "model": "m", "choices": [choice], **fields}))


CHAT_STREAM = (chunk(HELLO), chunk({}, usage=USED), b"data: [DONE]\n\n")


async def run(gateway: Relay, **fields) -> tuple[bytes, ResponsesTurn]:
    body = json.decode_top(json.encode({"model": "m", "input": "Hi", **fields}))
    turn = ResponsesTurn(frame_of(body, "resp_ours", 7), gateway.clock)
    reply = await relay(Call(1, turn, body), CALLER, gateway.gate)
    async with reply:
        return reply.first + b"".join([chunk async for chunk in reply.rest()]), turn


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_chat_upstream_answers_a_client_of_responses(streamed):
    gateway = Relay(stream(*CHAT_STREAM) if streamed else whole(CHAT_REPLY))

    told, turn = await run(gateway, stream=streamed)

    assert gateway.transport.body()["messages"] == [{"role": "user", "content": "Hi"}]
    (record,) = gateway.records
    assert (record.outcome, gateway.usage.total_output) == (Outcome.COMPLETED, 2)
    assert turn.frame.status == "completed"
    assert (turn.frame.final or b"?") in told
    assert b'"text":"Hello"' in (turn.frame.output or b"")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_an_upstream_of_its_own_is_asked_without_state(streamed):
    items = (upstream.THOUGHT, upstream.MESSAGE)
    answer = stream(upstream.whole_stream(*items)) if streamed else whole(upstream.response(*items))
    gateway = Relay(answer, channels=[channel(provider=OWN)])

    told, turn = await run(gateway, stream=streamed, previous_response_id="resp_1")

    sent = gateway.transport.body()
    assert (sent["store"], "previous_response_id" in sent) == (False, False)
    assert gateway.usage.reasoning == 5
    assert (turn.frame.final or b"?") in told
    assert upstream.SECRET.encode() in (turn.frame.output or b"")
    assert upstream.SECRET.encode() not in told


@pytest.mark.parametrize("own", [False, True], ids=["chat", "responses"])
async def test_a_cut_stream_is_told_to_have_failed(own):
    begun = upstream.stream(*upstream.opening(), *upstream.told(0, upstream.MESSAGE))
    chunks = (begun,) if own else CHAT_STREAM[:1]
    provider = OWN if own else OPENAI
    answer = stream(*chunks, CutConnectionError("cut"))
    gateway = Relay(answer, channels=[channel(provider=provider)])

    told, turn = await run(gateway, stream=True)

    (record,) = gateway.records
    assert record.outcome is Outcome.UPSTREAM_CUT
    assert told.count(b"event: response.failed") == 1
    assert turn.frame.status == "failed"


async def test_a_body_in_place_of_a_stream_is_told_as_one():
    gateway = Relay(whole(upstream.response(upstream.MESSAGE)), channels=[channel(provider=OWN)])

    told, turn = await run(gateway, stream=True)

    assert told.count(b"event: response.output_text.delta") == 1
    assert turn.frame.status == "completed"
