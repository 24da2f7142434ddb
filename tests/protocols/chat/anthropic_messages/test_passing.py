"""Streams that pass through: forwarded as they came, read on the way."""

import msgspec
import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.envelopes import Envelope, seal
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage
from tests.factories.anthropic_wire import body, wire

NAMES = [
    "basic", "tool_use", "refusal", "unknown_events", "message_delta_fields", "thinking_tools",
    "message_delta_omitted_usage", "server_tool_use", "incomplete_partial_json", "error_midway",
]  # fmt: skip
FACTS = ANTHROPIC_MESSAGES.facts(body())
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def passed(*chunks: bytes, model: str | None = None):
    reader = ANTHROPIC_MESSAGES.stream_reader(FACTS, model)
    forwarded = b"".join(reader.feed(chunk) for chunk in chunks) + reader.end()
    return reader, forwarded


def seen(reader):
    return (
        reader.usage, reader.output_bytes, reader.closed, reader.failure, reader.service_tier,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_forwarded_as_they_came(name):
    stream = wire(f"{name}.sse")

    _, forwarded = passed(stream)

    assert forwarded == stream.rstrip(b"\n") + b"\n\n"


@pytest.mark.parametrize("name", ["thinking_tools", "error_midway", "basic"])
def test_a_stream_cut_anywhere_is_read_and_forwarded_the_same(name):
    stream = wire(f"{name}.sse")
    whole, forwarded = passed(stream)

    for cut in range(len(stream)):
        parts, again = passed(stream[:cut], stream[cut:])
        assert (seen(parts), again) == (seen(whole), forwarded)


def test_only_whole_events_are_forwarded():
    stream = wire("basic.sse")
    first = stream.index(b"\n\n") + 2
    reader = ANTHROPIC_MESSAGES.stream_reader(FACTS, None)

    assert reader.feed(stream[: first + 10]) == stream[:first]


def test_what_metering_needs_is_read():
    reader, _ = passed(wire("thinking_tools.sse"))

    said = 'Two cities, two calls. 🧭Checking “both” — één moment.{"city": "Paris"}'
    assert seen(reader) == (
        Usage(
            input=12, cache_read=4000, cache_write_5m=100, cache_write_1h=200,
            output=60, reasoning=30,
        ),
        len(said.encode()),
        True,
        None,
        "priority",
    )  # fmt: skip


def test_what_was_read_is_known_from_the_first_event():
    stream = wire("thinking_tools.sse")
    reader, _ = passed(stream[: stream.index(b"\n\n") + 2])

    assert reader.usage == Usage(input=12, cache_read=4000, cache_write_5m=100, cache_write_1h=200)
    assert not reader.closed


def test_output_that_only_the_start_reported_counts_once_the_stream_ended():
    stream = wire("thinking_tools.sse")
    reader, _ = passed(stream[: stream.index(b"\n\n") + 2], STOP)

    assert reader.usage is not None
    assert (reader.usage.total_input, reader.usage.output) == (4312, 2)


def test_the_model_is_replaced_only_when_asked():
    stream = wire("thinking_tools.sse")

    _, forwarded = passed(stream, model="mine/alias")

    assert forwarded == stream.replace(b'"claude-opus-4-5"', b'"mine/alias"')


def test_an_error_event_is_a_failure_and_forwarded():
    reader, forwarded = passed(wire("error_midway.sse"))

    assert reader.failure == neutral.Failed(
        message="Overloaded", kind="overloaded_error", status=529
    )
    assert not reader.closed
    assert b"event: error" in forwarded


def test_a_missing_end_is_added_after_the_stop_reason_and_not_before():
    stream = wire("thinking_tools.sse")
    before_stop = stream[: stream.index(b"event: message_stop")]
    before_delta = stream[: stream.index(b"event: message_delta")]

    assert passed(before_stop)[1] == stream
    reader, forwarded = passed(before_delta)
    assert (reader.closed, forwarded) == (False, before_delta)


def test_what_cannot_be_read_is_forwarded_unread():
    odd = (
        b'data: <html>\n\n: comment\n\nevent: content_block_delta\ndata: {"delta":5}\n\ndata: 5\n\n'
    )

    reader, forwarded = passed(odd)

    assert forwarded == odd
    assert seen(reader) == (None, 0, False, None, None)


def test_deltas_without_their_event_line_are_counted():
    delta = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"abc"}}\n\n'

    assert passed(delta, delta.replace(b"\n", b"\r\n"))[0].output_bytes == 6


def test_a_request_passes_with_its_own_keys_in_order():
    raw = json.decode_top(b'{"messages": [ ] , "model":"a", "x":null,"max_tokens":1e2}')

    assert ANTHROPIC_MESSAGES.pass_request(raw, "b") == (
        b'{"messages":[ ],"model":"b","x":null,"max_tokens":1e2}'
    )


def test_thoughts_another_vendor_signed_do_not_pass():
    sealed = seal(Envelope(Dialect.GEMINI, "signature", "c2ln"))
    hi = {"role": "user", "content": [{"type": "text", "text": sealed}]}
    own = {"type": "thinking", "thinking": "mine", "signature": "SIG"}
    unsigned = {"type": "thinking", "thinking": "nobody's", "signature": ""}
    others = {"type": "thinking", "thinking": "another's", "signature": sealed}
    hidden = {"type": "redacted_thinking", "data": sealed}
    turns = [
        hi,
        {"role": "assistant", "content": [own, others, unsigned, hidden]},
        hi,
        {"role": "assistant", "content": [others]},
        {"role": "user", "content": sealed},
    ]

    body = json.decode_top(json.encode({"model": "a", "messages": turns}))
    passed = msgspec.json.decode(ANTHROPIC_MESSAGES.pass_request(body, "b"))

    assert passed["messages"] == [
        hi,
        {"role": "assistant", "content": [own, unsigned]},
        hi,
        {"role": "user", "content": sealed},
    ]


def test_what_is_no_list_of_messages_passes_for_the_upstream_to_refuse():
    sealed = seal(Envelope(Dialect.GEMINI, "signature", "c2ln"))

    for odd in ({"signature": sealed}, [sealed], [{"content": [sealed]}]):
        body = json.decode_top(json.encode({"model": "a", "messages": odd}))
        passed = msgspec.json.decode(ANTHROPIC_MESSAGES.pass_request(body, "b"))
        assert passed["messages"] == odd
