"""What a client sees of a stream, however it ends, and what is settled then."""

import pytest

from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import UsageSource
from meterway.relay.record import Outcome
from meterway.upstreams.errors import CutConnectionError, IdleTimeoutError
from tests.factories.relays import ANTHROPIC, OPENAI, Relay, channel
from tests.fakes.transport import stream, whole

ASK = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
CLAUDE_ASK = ASK | {"max_tokens": 64}


def _chunk(delta: str, finish: str = "null") -> bytes:
    return (
        '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}'
    ).encode()


def _sse(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


TEXT = _sse(_chunk('{"role":"assistant","content":"hello"}'))
MORE = _sse(_chunk('{"content":" world"}'))
END = _sse(_chunk("{}", '"stop"'))
USAGE = _sse(
    b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
DONE = b"data: [DONE]\n\n"


async def test_passing_bytes_are_the_upstreams_own_less_the_usage_nobody_asked_for():
    relay = Relay(stream(TEXT, MORE, END, USAGE, DONE))

    body = await relay.run(ASK)

    assert body == TEXT + MORE + END + DONE
    (record,) = relay.records
    assert (record.outcome, relay.usage.input, relay.usage.output) == (Outcome.COMPLETED, 5, 2)


async def test_usage_is_always_asked_for_upstream():
    relay = Relay(stream(TEXT, END, USAGE, DONE))

    await relay.run(ASK)

    assert relay.transport.body()["stream_options"] == {"include_usage": True}


async def test_a_client_that_asks_for_usage_gets_it():
    relay = Relay(stream(TEXT, END, USAGE, DONE))

    body = await relay.run(ASK | {"stream_options": {"include_usage": True}})

    assert USAGE in body


async def test_every_cut_of_the_network_gives_the_same_stream():
    data = TEXT + MORE + END + USAGE + DONE
    for at in range(1, len(data)):
        relay = Relay(stream(data[:at], data[at:]))

        body = await relay.run(ASK)

        assert body == TEXT + MORE + END + DONE
        assert relay.usage.output == 2


@pytest.mark.parametrize("end", [(), (CutConnectionError("cut"),), (IdleTimeoutError("silent"),)])
@pytest.mark.parametrize(
    ("dialect", "ask", "said"),
    [
        (Dialect.OPENAI_CHAT, ASK, b'data: {"error":'),
        (Dialect.ANTHROPIC_MESSAGES, CLAUDE_ASK, b"event: error"),
    ],
)
async def test_a_cut_stream_is_told_to_the_client_in_its_dialect(dialect, ask, said, end):
    relay = Relay(stream(TEXT, MORE, *end))

    body = await relay.run(ask, dialect)

    assert body.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2].startswith(said)
    (record,) = relay.records
    assert record.outcome is Outcome.UPSTREAM_CUT
    assert record.usage_source is UsageSource.ESTIMATED
    assert relay.usage.output > 0


async def test_what_breaks_after_the_end_changes_nothing():
    relay = Relay(stream(TEXT, END, USAGE, DONE, CutConnectionError("late")))

    body = await relay.run(ASK)

    assert body.endswith(DONE)
    assert relay.records[0].outcome is Outcome.COMPLETED


async def test_an_error_event_in_the_middle_reaches_the_client_once():
    boom = _sse(b'{"error":{"message":"boom","type":"server_error"}}')
    relay = Relay(stream(TEXT, boom))

    body = await relay.run(ASK)

    assert body == TEXT + boom
    assert relay.records[0].outcome is Outcome.FAILED


async def test_hidden_and_visible_output_is_sized_in_bytes_of_utf8():
    relay = Relay(stream(_sse(_chunk('{"role":"assistant","content":"\u4f60\u597d"}'))))

    await relay.run(CLAUDE_ASK, Dialect.ANTHROPIC_MESSAGES)

    assert relay.records[0].output_bytes == 6


async def test_missing_usage_becomes_a_labelled_estimate():
    relay = Relay(stream(TEXT, END, DONE))

    await relay.run(ASK)

    (record,) = relay.records
    assert record.usage_source is UsageSource.ESTIMATED
    assert relay.usage.input > 0


async def test_what_was_settled_stays_as_it_is_when_the_reply_is_left():
    relay = Relay(stream(TEXT, END, DONE))

    reply = await relay.start(ASK)
    async with reply:
        assert [chunk async for chunk in reply.rest()]
        reply.settle()
        settled = relay.usage

    assert relay.usage == settled  # receipts are written down later


async def test_a_stream_closed_early_cuts_the_upstream_and_settles_once():
    answer = stream(TEXT, MORE, END, USAGE, DONE)
    relay = Relay(answer)

    reply = await relay.start(ASK)
    async with reply:
        await anext(reply.rest())

    assert answer.closed
    (record,) = relay.records
    assert record.outcome is Outcome.CLIENT_GONE


STARTED = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"a","type":"message",'
    b'"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":500,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
SAID = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"' + b"word " * 700 + b'"}}\n\n'
)


CLIENTS = [(Dialect.OPENAI_CHAT, ASK), (Dialect.ANTHROPIC_MESSAGES, CLAUDE_ASK)]


@pytest.mark.parametrize(("dialect", "ask"), CLIENTS)
async def test_a_client_who_leaves_pays_the_reported_input_and_the_output_so_far(dialect, ask):
    relay = Relay(stream(STARTED, SAID, SAID), channels=[channel(provider=ANTHROPIC)])

    reply = await relay.start(ask, dialect)
    async with reply:
        async for _ in reply.rest():
            reply.abandon()
            break

    (record,) = relay.records
    assert record.outcome is Outcome.CLIENT_GONE
    assert relay.usage.total_input == 500
    assert relay.usage.total_output == 1000  # 3,500 bytes of text
    assert record.usage_source is UsageSource.ESTIMATED


async def test_an_upstream_that_cuts_is_paid_for_what_it_said():
    relay = Relay(stream(STARTED, SAID, SAID), channels=[channel(provider=ANTHROPIC)])

    await relay.run(CLAUDE_ASK, Dialect.ANTHROPIC_MESSAGES)

    (record,) = relay.records
    assert record.outcome is Outcome.UPSTREAM_CUT
    assert (relay.usage.total_input, relay.usage.total_output) == (500, 2000)


@pytest.mark.parametrize(("dialect", "ask"), CLIENTS)
async def test_an_upstream_that_cuts_before_the_first_word_costs_nothing(dialect, ask):
    relay = Relay(stream(STARTED), channels=[channel(provider=ANTHROPIC)])

    await relay.run(ask, dialect)

    (record,) = relay.records
    assert (record.outcome, record.policy) == (Outcome.UPSTREAM_CUT, None)


@pytest.mark.parametrize("tokens", [10**10, 10**20, 10**400])
async def test_a_usage_no_model_can_have_is_not_believed(tokens):
    usage = {"prompt_tokens": tokens, "completion_tokens": 2, "total_tokens": tokens + 2}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}}
    relay = Relay(whole({"choices": [choice | {"finish_reason": "stop"}], "usage": usage}))

    await relay.run({**ASK, "stream": False})

    (record,) = relay.records
    assert record.usage_source is UsageSource.ESTIMATED
    assert relay.usage.total_input < 1000


async def test_an_abandoned_stream_read_to_its_end_keeps_the_reported_usage():
    relay = Relay(stream(TEXT, MORE, END, USAGE, DONE))

    reply = await relay.start(ASK)
    reply.abandon()
    async with reply:
        async for _ in reply.rest():
            pass

    (record,) = relay.records
    assert (record.outcome, relay.usage.output) == (Outcome.CLIENT_GONE, 2)
    assert record.usage_source is UsageSource.REPORTED


async def test_an_alias_is_put_back_into_every_event():
    relay = Relay(stream(TEXT, END, USAGE, DONE), channels=[channel(models={"fast": "m"})])

    body = await relay.run(ASK | {"model": "fast"})

    assert relay.transport.body()["model"] == "m"
    assert b'"model":"fast"' in body
    assert b'"model":"m"' not in body


async def test_the_request_is_forgotten_once_the_first_byte_is_there():
    relay = Relay(stream(TEXT, END, USAGE, DONE), channels=[channel(1, OPENAI)])

    reply = await relay.start(CLAUDE_ASK, Dialect.ANTHROPIC_MESSAGES)

    assert "hi" not in str(reply.record)
    async with reply:
        assert b"message_stop" in b"".join([chunk async for chunk in reply.rest()])


async def test_a_stream_whose_client_is_lost_at_the_first_byte_is_cut_and_settled():
    answer = stream(TEXT, MORE, END, USAGE, DONE)
    relay = Relay(answer)

    reply = await relay.start(ASK)
    with pytest.raises(ConnectionError):
        async with reply:
            raise ConnectionError

    assert answer.closed
    assert relay.records[0].outcome is Outcome.CLIENT_GONE


async def test_a_whole_reply_is_translated_and_metered():
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 4},
    }
    relay = Relay(whole(message), channels=[channel(1, ANTHROPIC)])

    body = await relay.run({**ASK, "stream": False})

    assert b'"content":"hello"' in body
    usage = relay.usage
    assert (usage.input, usage.cache_read, usage.output) == (9, 4, 3)
