"""Which failures lead to another route, which to another try, and which to the client."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from meterway.kit.errors import MeterwayError
from meterway.protocols.errors import UnsupportedContentError
from meterway.relay.attempts import RetryPolicy
from meterway.relay.record import Outcome
from meterway.routing.health import Breaker
from meterway.upstreams.errors import ConnectError, CutConnectionError, UpstreamError
from meterway.upstreams.types import Credential
from tests.factories.relays import ANTHROPIC, Relay, channel
from tests.fakes.transport import ScriptedResponse, stream, whole

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
KEY, EXTRA = "0123456789canary0123456789", "another canary"
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
TEXT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"hello"}}]}\n\n'
)
ERROR_EVENT = b'data: {"error":{"message":"boom","type":"server_error"}}\n\n'


def _no(status: int, **headers: str) -> ScriptedResponse:
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return whole({"error": {"message": f"said {status}", "type": "t"}}, status, pairs)


def _two(**facts):
    return [channel(1), channel(2, priority=1, **facts)]


async def test_the_first_answer_reaches_the_client_untouched():
    relay = Relay(whole(REPLY))

    body = await relay.run(ASK)

    assert json.loads(body) == REPLY
    assert relay.transport.body()["messages"] == ASK["messages"]


@pytest.mark.parametrize(
    "failure",
    [ConnectError("refused"), _no(500), _no(429), _no(529), _no(401), _no(402), _no(404), _no(408)],
)
async def test_what_another_route_may_mend_goes_to_the_next(failure):
    relay = Relay(failure, whole(REPLY), channels=_two())

    await relay.run(ASK)

    (record,) = relay.records
    assert [(a.channel, a.error is None) for a in record.attempts] == [("c1", False), ("c2", True)]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_callers_own_fault_is_final(status):
    relay = Relay(_no(status), channels=_two())

    with pytest.raises(UpstreamError) as caught:
        await relay.run(ASK)

    assert (caught.value.status, caught.value.message) == (status, f"said {status}")
    assert len(relay.transport.sent) == 1


async def test_a_refused_credential_is_not_shown_as_the_callers_bad_key():
    relay = Relay(_no(401), policy=RetryPolicy(rounds=1))

    with pytest.raises(UpstreamError) as caught:
        await relay.run(ASK)

    assert caught.value.status == 503


async def test_another_credential_of_the_same_channel_is_tried():
    keys = (Credential("a", "1"), Credential("b", "2"))
    relay = Relay(_no(429), whole(REPLY), channels=[channel(credentials=keys)])

    await relay.run(ASK)

    assert {a.credential for a in relay.records[0].attempts} == {"a", "b"}


async def test_a_second_pass_waits_and_then_tries_again():
    relay = Relay(_no(500), whole(REPLY), policy=RetryPolicy(first_wait=0.25))

    await relay.run(ASK)

    assert relay.clock.slept == [0.25]


async def test_a_wait_the_upstream_asks_for_is_honoured_when_short():
    relay = Relay(_no(503, retry_after="2"), whole(REPLY), breaker=Breaker(threshold=9))

    await relay.run(ASK)

    assert relay.clock.slept == [2]


async def test_a_long_wait_is_handed_to_the_client_at_once():
    relay = Relay(_no(429, retry_after="60"))

    with pytest.raises(UpstreamError) as caught:
        await relay.run(ASK)

    assert (caught.value.status, caught.value.retry_after) == (429, 60)
    assert relay.clock.slept == []


async def test_tries_are_bounded():
    channels = [channel(number, priority=number) for number in range(1, 9)]
    relay = Relay(*[_no(500) for _ in range(8)], channels=channels, policy=RetryPolicy(tries=3))

    with pytest.raises(UpstreamError):
        await relay.run(ASK)

    assert len(relay.transport.sent) == 3


async def test_repeated_failures_cool_the_channel_for_later_calls():
    relay = Relay(
        ConnectError("x"), whole(REPLY), whole(REPLY), channels=_two(), breaker=Breaker(threshold=1)
    )

    await relay.run(ASK)
    await relay.run(ASK)

    assert [a.channel for a in relay.records[1].attempts] == ["c2"]


async def test_a_failed_call_is_settled_once_with_its_error():
    relay = Relay(_no(400))

    with pytest.raises(MeterwayError):
        await relay.run(ASK)

    (record,) = relay.records
    assert record.outcome is Outcome.FAILED
    assert record.usage is None


async def test_an_error_inside_a_200_falls_back():
    relay = Relay(
        whole({"error": {"message": "overloaded", "type": "server_error", "code": 503}}),
        whole(REPLY),
        channels=_two(),
    )

    body = await relay.run(ASK)

    assert json.loads(body)["id"] == "chatcmpl-1"


async def test_a_stream_that_opens_with_an_error_falls_back():
    relay = Relay(stream(ERROR_EVENT), stream(TEXT, b"data: [DONE]\n\n"), channels=_two())

    body = await relay.run(ASK | {"stream": True})

    assert b"hello" in body
    assert b"boom" not in body


@pytest.mark.parametrize(
    "lie", [ScriptedResponse(200, [b"<html>"], [(b"content-type", b"text/html")])]
)
async def test_a_lying_content_type_falls_back(lie):
    relay = Relay(lie, stream(TEXT, b"data: [DONE]\n\n"), channels=_two())

    body = await relay.run(ASK | {"stream": True})

    assert b"hello" in body
    assert lie.closed


@pytest.mark.parametrize("nonsense", [b"", b"<html>", b"[]", b'{"choices":', b"null", b"\xff"])
async def test_nonsense_for_a_reply_falls_back(nonsense):
    answer = ScriptedResponse(200, [nonsense] if nonsense else [])
    relay = Relay(answer, whole(REPLY), channels=_two())

    body = await relay.run(ASK)

    assert json.loads(body)["id"] == "chatcmpl-1"


async def test_an_upstream_that_ignores_the_wish_for_a_stream_is_told_as_one():
    relay = Relay(whole(REPLY))

    body = await relay.run(ASK | {"stream": True})

    assert b'"content":"hello"' in body
    assert body.endswith(b"data: [DONE]\n\n")
    assert relay.usage.total_output == 2


async def test_a_whole_stream_without_its_last_newlines_is_still_a_stream():
    relay = Relay(stream(TEXT.replace(b'"hello"}', b'"hello"},"finish_reason":"stop"')[:-2]))

    body = await relay.run(ASK | {"stream": True})

    assert b"hello" in body
    assert body.endswith(b"data: [DONE]\n\n")
    assert relay.records[0].outcome is Outcome.COMPLETED


async def test_a_part_one_dialect_lacks_is_tried_where_the_other_has_it():
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    ask = ASK | {"messages": [{"role": "user", "content": [audio]}]}
    relay = Relay(whole(REPLY), channels=[channel(1, ANTHROPIC), channel(2, priority=1)])

    await relay.run(ask)

    first, second = relay.records[0].attempts
    assert (first.error, second.error) == ("unsupported_content", None)


async def test_a_part_no_route_can_say_is_refused_by_its_path():
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    ask = ASK | {"messages": [{"role": "user", "content": [audio]}]}
    relay = Relay(channels=[channel(1, ANTHROPIC)])

    with pytest.raises(UnsupportedContentError) as caught:
        await relay.run(ask)

    assert (caught.value.param or "").startswith("messages[0].content[0]")
    assert relay.transport.sent == []


async def test_a_cancelled_attempt_is_recorded_and_frees_its_probe():
    relay = Relay(asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError):
        await relay.run(ASK)

    (record,) = relay.records
    assert (record.outcome, record.error) == (Outcome.CLIENT_GONE, None)
    assert record.attempts[0].error == "cancelled"


async def test_a_reply_cut_before_its_end_falls_back():
    answer = ScriptedResponse(200, [b'{"id":', CutConnectionError("cut")])
    relay = Relay(answer, whole(REPLY), channels=_two())

    await relay.run(ASK)

    assert relay.records[0].attempts[0].error == "upstream_cut"
    assert answer.closed


async def test_where_an_exchange_broke_is_told_to_the_log():
    relay = Relay(ConnectError("No connection to 10.1.2.3:9: refused."), channels=[channel(1)])
    relay.transport.answers.append(whole(REPLY))

    with capture_logs() as events:
        await relay.run(ASK)

    assert events == [
        {
            "event": "upstream.unreachable",
            "log_level": "warning",
            "request_id": "req_0000000000000001",
            "channel": "c1",
            "code": "upstream_unreachable",
            "detail": "No connection to 10.1.2.3:9: refused.",
        }
    ]


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
async def test_an_upstream_that_repeats_the_credential_does_not_reach_the_caller_with_it(status):
    told = {"message": f"got {KEY} and {EXTRA}", "type": "t", "code": KEY, "param": KEY}
    credential = Credential("a", KEY + "\n")  # as read from a file
    answer = whole({"error": told}, status)
    route = channel(credentials=(credential,), headers={"x-extra": EXTRA})
    relay = Relay(answer, channels=[route], policy=RetryPolicy(rounds=1))

    with pytest.raises(UpstreamError) as caught:
        await relay.run(ASK)

    shown = f"{caught.value} {caught.value.message} {caught.value.code} {caught.value.param}"
    assert "got *** and ***" in shown
    assert KEY not in shown
    assert EXTRA not in shown
