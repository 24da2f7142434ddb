"""Requests and replies that pass through: read, and otherwise left alone."""

from pathlib import Path

import msgspec
import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

WIRE = Path(__file__).parents[3] / "wire" / "openai_chat"
STREAMS = sorted(path.name for path in WIRE.glob("*.sse"))
END = b"data: [DONE]\n\n"
USAGE = b'data: {"id":"r","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'


def reader(model=None, *, include_usage=True):
    facts = Facts(model="m", stream=True, include_usage=include_usage)
    return OPENAI_CHAT.stream_reader(facts, model)


def passed(body: bytes, model: str = "m") -> bytes:
    return OPENAI_CHAT.pass_request(json.decode_top(body), model)


def test_nested_values_travel_untouched_and_the_model_is_set():
    body = b'{"model":"alias","messages":[ {"role" : "user","n":1.10e1} ],"unknown":{"a" :\t1}}'

    sent = passed(body, "real")

    assert sent == body.replace(b'"alias"', b'"real"')


def test_a_doubled_key_is_sent_once_with_the_value_that_was_priced():
    sent = passed(b'{"model":"a","n":1,"messages":[],"n":9}')

    assert sent.count(b'"n"') == 1
    assert b'"n":9' in sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"", {"include_usage": True}),
        (b',"stream_options":null', {"include_usage": True}),
        (b',"stream_options":{}', {"include_usage": True}),
        (b',"stream_options":{"include_usage":false}', {"include_usage": True}),
        (
            b',"stream_options":{"include_obfuscation":false}',
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
def test_a_stream_always_asks_for_its_usage(given, sent):
    body = passed(b'{"model":"m","messages":[],"stream":true' + given + b"}")

    assert msgspec.json.decode(body)["stream_options"] == sent


@pytest.mark.parametrize("stream", [b"", b',"stream":false', b',"stream":null'])
def test_a_whole_reply_asks_for_nothing_more(stream):
    body = b'{"model":"m","messages":[]' + stream + b"}"

    assert passed(body) == body


@pytest.mark.parametrize("name", ["text", "tools", "deepseek", "openrouter"])
def test_a_whole_reply_passes_byte_for_byte_with_the_usage_read(name):
    body = (WIRE / f"{name}.json").read_bytes()

    seen = OPENAI_CHAT.pass_reply(body, None)

    decoded = OPENAI_CHAT.decode_reply(body)
    assert seen.body is body
    assert isinstance(decoded, neutral.Reply)
    assert (seen.usage, seen.service_tier) == (decoded.usage, decoded.service_tier)


def test_the_model_of_a_whole_reply_is_replaced_where_asked():
    body = (WIRE / "text.json").read_bytes()

    seen = OPENAI_CHAT.pass_reply(body, "alias")

    assert msgspec.json.decode(seen.body) == {**msgspec.json.decode(body), "model": "alias"}


def test_an_error_in_a_200_is_a_failure():
    seen = OPENAI_CHAT.pass_reply(b'{"error":{"message":"boom","type":"server_error"}}', None)

    assert seen.failure == neutral.Failed(message="boom", kind="server_error")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'{"choices":null}', b'{"choices":[],"usage":@}']
)
def test_a_lying_upstream_is_a_bad_reply(body):
    with pytest.raises(BadReplyError):
        OPENAI_CHAT.pass_reply(body, None)


def test_figures_nobody_can_read_do_not_spoil_a_reply():
    body = b'{"choices":[],"usage":{"prompt_tokens":"many"},"service_tier":5}'

    seen = OPENAI_CHAT.pass_reply(body, None)

    assert (seen.body, seen.usage, seen.failure) == (body, None, None)


def test_nothing_of_what_passed_is_kept():
    tap = reader()

    for _ in range(100):
        tap.feed(b'data: {"choices":[{"delta":{"content":"' + b"x" * 1000 + b'"}}]}\n\n')

    kept = [value for value in vars(tap).values() if isinstance(value, bytes | str | list)]
    assert kept == []
    assert tap._splitter.rest() == b""


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_passes_byte_for_byte_at_every_cut(name):
    stream = (WIRE / name).read_bytes()

    for place in range(len(stream) + 1):
        tap = reader()
        out = tap.feed(stream[:place]) + tap.feed(stream[place:]) + tap.end()

        assert out == stream
        assert tap.closed is stream.endswith(END)


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "error_mid_stream.sse"])
def test_what_is_read_in_passing_is_what_the_decoder_reads(name):
    stream, tap, decoder = (WIRE / name).read_bytes(), reader(), OPENAI_CHAT.stream_decoder()

    tap.feed(stream)

    reports = [e for e in decoder.feed(stream) if isinstance(e, neutral.UsageReported)]
    assert tap.usage == (reports[-1].usage if reports else None)


def test_the_usage_chunk_nobody_asked_for_is_read_and_left_out():
    stream = (WIRE / "text.sse").read_bytes()
    tap = reader(include_usage=False)

    out = tap.feed(stream) + tap.end()

    assert b'"choices":[]' not in out
    assert out.count(b"data: ") == stream.count(b"data: ") - 1
    assert out.endswith(END)
    assert tap.usage == Usage(input=18, cache_read=64, output=17)
    assert tap.service_tier == "default"


def test_usage_beside_content_is_never_left_out():
    chunk = b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":3}}\n\n'
    tap = reader(include_usage=False)

    assert tap.feed(chunk) == chunk
    assert tap.usage == Usage(input=3)


def test_the_model_of_every_chunk_is_replaced_where_asked():
    tap = reader("alias")

    out = tap.feed((WIRE / "text.sse").read_bytes())

    assert out.count(b'"model":"alias"') == out.count(b'"id"')
    assert b"gpt-4.1" not in out
    assert '"Grüße!"'.encode() in out


def test_output_is_counted_in_bytes_visible_and_hidden():
    tap = reader()

    tap.feed('data: {"choices":[{"delta":{"content":"é€"}}]}\n\n'.encode())
    tap.feed(b'data: {"choices":[{"delta":{"reasoning_content":"ab"}}]}\n\n')
    tap.feed(b'data: {"choices":[{"delta":{"refusal":"no"}}]}\n\n')
    tap.feed(
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}'
        b"\n\n"
    )

    tap.feed(
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"a":1}}}]}}]}\n\n'
    )

    assert tap.output_bytes == 5 + 2 + 2 + 3 + 7


def test_an_error_event_passes_and_is_noted():
    stream = (WIRE / "error_mid_stream.sse").read_bytes()
    tap = reader()

    assert tap.feed(stream) + tap.end() == stream
    assert tap.failure is not None
    assert (tap.failure.status, tap.closed) == (429, False)


def test_a_finished_stream_without_its_end_mark_is_given_one():
    stream = (WIRE / "text.sse").read_bytes()
    tap = reader()

    out = tap.feed(stream.removesuffix(END)) + tap.end()

    assert out == stream
    assert tap.closed


def test_a_cut_stream_is_not_closed():
    stream = (WIRE / "text.sse").read_bytes()
    tap = reader()

    tap.feed(stream[: len(stream) // 2])
    last = tap.end()

    assert not tap.closed
    assert END not in last


def test_an_end_mark_without_its_blank_line_closes():
    tap = reader()

    tap.feed(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]')

    assert tap.end() == END
    assert tap.closed


@pytest.mark.parametrize(
    "block",
    [
        b": keep-alive\n\n",
        b"data: not json\n\n",
        b'data: {"choices":5}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"event: ping\nid: 3\r\n\r\n",
    ],
)
def test_what_cannot_be_read_passes_as_it_came(block):
    tap = reader("alias")

    assert tap.feed(block) == block


def test_an_unfinished_event_is_kept_until_its_end():
    tap = reader()

    assert tap.feed(USAGE[:-1]) == b""
    assert tap.feed(USAGE[-1:]) == USAGE
