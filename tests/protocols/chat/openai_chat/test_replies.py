"""Replies for clients, whole and streamed, side by side and judged by the official SDK's types."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from meterway.kit import json, sse
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

WIRE = Path(__file__).parents[3] / "wire" / "openai_chat"
ASK = neutral.Message(role=neutral.Role.USER, parts=(neutral.Text(text="hi"),))
LOGPROBS = msgspec.Raw(
    b'{"content":[{"token":"x","logprob":-0.5,"bytes":null,"top_logprobs":[]}],"refusal":null}'
)

texts = st.text(min_size=1, max_size=12)
thoughts = st.builds(neutral.Thinking, text=texts, signature=texts) | st.builds(
    neutral.RedactedThinking, data=texts
)
calls = st.builds(neutral.ToolCall, id=texts, name=texts, arguments=texts)


def unique(parts):
    """Give calls ids of their own, as every upstream does."""
    return tuple(
        msgspec.structs.replace(part, id=f"{place}{part.id}")
        if isinstance(part, neutral.ToolCall)
        else part
        for place, part in enumerate(parts)
    )


def choice_with(index, reasoning, text, tools):
    stop = neutral.StopReason.TOOL_CALLS if tools else neutral.StopReason.LENGTH
    parts = unique([*reasoning, *text, *tools])
    said = any(isinstance(part, neutral.Text) for part in parts)
    return neutral.Choice(index=index, parts=parts, stop=stop, logprobs=LOGPROBS if said else None)


def choices(index):
    return st.builds(
        choice_with,
        st.just(index),
        st.lists(thoughts, max_size=3),
        st.lists(st.builds(neutral.Text, text=texts), max_size=1),
        st.lists(calls, max_size=3),
    )


replies = st.builds(
    neutral.Reply,
    id=texts,
    model=texts,
    choices=st.integers(1, 3).flatmap(lambda n: st.tuples(*(choices(i) for i in range(n)))),
    usage=st.none() | st.builds(Usage, input=st.integers(0, 99), reasoning=st.integers(0, 99)),
    created=st.integers(0, 2**40),
    service_tier=st.none() | st.just("flex"),
    system_fingerprint=st.none() | texts,
)


def streamed(events, *, include_usage=True) -> bytes:
    request = neutral.Request(model="m", messages=(ASK,), include_usage=include_usage)
    encoder = OPENAI_CHAT.stream_encoder(request)
    return b"".join(encoder.encode(event) for event in events)


def data_of(stream: bytes) -> list[bytes]:
    parsed = [sse.parse(block) for block in sse.Splitter().feed(stream)]
    return [event.data for event in parsed if event is not None]


def chunks_of(stream: bytes):
    return [msgspec.json.decode(data) for data in data_of(stream) if data != b"[DONE]"]


def reply_of(*parts, stop=neutral.StopReason.END) -> neutral.Reply:
    return neutral.Reply(
        id="r",
        model="m",
        created=1,
        choices=(neutral.Choice(parts=parts, stop=stop),),
        usage=Usage(input=3, output=2),
    )


@given(replies)
def test_a_whole_reply_reads_back_the_same(reply):
    body = OPENAI_CHAT.encode_reply(reply)

    assert OPENAI_CHAT.decode_reply(body) == reply


@given(replies)
def test_a_stream_reads_back_the_same(reply):
    decoder = OPENAI_CHAT.stream_decoder()

    events = decoder.feed(streamed(events_of(reply)))

    assert collect(events) == reply


@given(replies)
def test_the_official_sdk_takes_every_reply(reply):
    body = msgspec.json.decode(OPENAI_CHAT.encode_reply(reply))

    read = ChatCompletion.model_validate(body, strict=True)

    assert len(read.choices) == len(reply.choices)
    for key in ("id", "object", "created", "model", "choices"):
        assert key in body
    for choice in body["choices"]:
        assert {"index", "message", "logprobs", "finish_reason"} <= set(choice)
        assert {"role", "content", "refusal", "annotations"} <= set(choice["message"])


@given(replies)
def test_the_official_sdk_takes_every_chunk(reply):
    stream = streamed(events_of(reply))

    for chunk in chunks_of(stream):
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert set(chunk) >= {"id", "object", "created", "model", "choices", "usage"}
    assert data_of(stream)[-1] == b"[DONE]"


def test_a_stream_tells_every_event_in_order():
    reply = reply_of(neutral.Text(text="Hi"))

    chunks = chunks_of(streamed(events_of(reply)))

    assert [chunk["choices"] for chunk in chunks] == [
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        [{"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}],
        [],
    ]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None, None, None]
    assert chunks[-1]["usage"]["total_tokens"] == 5


def test_usage_is_told_only_to_those_who_asked():
    stream = streamed(events_of(reply_of(neutral.Text(text="Hi"))), include_usage=False)

    assert b"usage" not in stream
    assert stream.endswith(b"data: [DONE]\n\n")


def test_a_stream_that_begins_with_a_call_tells_its_role_first():
    call = neutral.ToolCall(id="a", name="f", arguments="{}")

    chunks = chunks_of(streamed(events_of(reply_of(call, stop=neutral.StopReason.TOOL_CALLS))))

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:3]]
    assert [sorted(delta) for delta in deltas] == [
        ["content", "refusal", "role"],
        ["tool_calls"],
        ["tool_calls"],
    ]


def test_interleaved_calls_keep_their_indexes():
    events = [
        neutral.Opened(id="r", model="m"),
        neutral.TextDelta(text="Hm", part=0),
        neutral.ToolCallOpened(id="a", name="f", part=1),
        neutral.ToolCallOpened(id="b", name="g", part=2),
        neutral.ToolCallDelta(arguments="1", part=1),
        neutral.ToolCallDelta(arguments="2", part=2),
    ]

    chunks = chunks_of(streamed(events))

    told = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[2:]]
    assert [(call["index"], call["function"]["arguments"]) for call in told] == [
        (0, ""),
        (1, ""),
        (0, "1"),
        (1, "2"),
    ]
    assert [call.get("id") for call in told] == ["a", "b", None, None]


def test_a_client_that_sends_the_message_back_keeps_signatures():
    parts = (
        neutral.Thinking(text="Let me think.", signature="sig"),
        neutral.RedactedThinking(data="xyz"),
        neutral.Text(text="42"),
    )
    body = msgspec.json.decode(OPENAI_CHAT.encode_reply(reply_of(*parts)))
    message = body["choices"][0]["message"]
    asked = {"model": "m", "messages": [message, {"role": "user", "content": "why?"}]}

    request = OPENAI_CHAT.decode_request(json.decode_top(json.encode(asked)))

    returned = [msgspec.structs.replace(part, path="") for part in request.messages[0].parts]
    assert tuple(returned) == parts
    assert message["reasoning_content"] == "Let me think."


def test_a_client_that_sends_a_streams_details_back_unjoined_keeps_signatures():
    parts = (neutral.Thinking(text="Let me think.", signature="sig"), neutral.Text(text="42"))
    chunks = chunks_of(streamed(events_of(reply_of(*parts))))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    details = [item for delta in deltas for item in delta.get("reasoning_details", [])]
    message = {"role": "assistant", "content": "42", "reasoning_details": details}

    request = OPENAI_CHAT.decode_request(
        json.decode_top(json.encode({"model": "m", "messages": [message]}))
    )

    thinking = request.messages[0].parts[0]
    assert isinstance(thinking, neutral.Thinking)
    assert (thinking.text, thinking.signature) == ("Let me think.", "sig")


@pytest.mark.parametrize(
    ("stop", "parts", "reason"),
    [
        (neutral.StopReason.END, (), "stop"),
        (neutral.StopReason.STOP_SEQUENCE, (), "stop"),
        (neutral.StopReason.PAUSE, (), "stop"),
        (neutral.StopReason.LENGTH, (), "length"),
        (neutral.StopReason.CONTEXT_WINDOW, (), "length"),
        (neutral.StopReason.TOOL_CALLS, (), "tool_calls"),
        (neutral.StopReason.CONTENT_FILTER, (), "content_filter"),
        (neutral.StopReason.REFUSAL, (), "content_filter"),
        (neutral.StopReason.REFUSAL, (neutral.Refusal(text="No."),), "stop"),
    ],
)
def test_every_stop_reason_is_told_whole_and_streamed(stop, parts, reason):
    reply = reply_of(*parts, stop=stop)

    body = msgspec.json.decode(OPENAI_CHAT.encode_reply(reply))
    chunks = chunks_of(streamed(events_of(reply)))

    assert body["choices"][0]["finish_reason"] == reason
    assert chunks[-2]["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(
    ("choice", "stop", "sequence"),
    [
        ({"finish_reason": "stop"}, neutral.StopReason.END, None),
        ({"finish_reason": "length"}, neutral.StopReason.LENGTH, None),
        ({"finish_reason": "content_filter"}, neutral.StopReason.CONTENT_FILTER, None),
        ({"finish_reason": "function_call"}, neutral.StopReason.TOOL_CALLS, None),
        ({"finish_reason": "model_length"}, neutral.StopReason.CONTEXT_WINDOW, None),
        ({"finish_reason": None}, neutral.StopReason.END, None),
        ({"finish_reason": "weird"}, neutral.StopReason.END, None),
        (
            {"finish_reason": "stop", "stop_reason": "END"},
            neutral.StopReason.STOP_SEQUENCE,
            "END",
        ),
        ({"finish_reason": "stop", "stop_reason": 151643}, neutral.StopReason.END, None),
        ({"finish_reason": "stop", "stop_reason": "end_turn"}, neutral.StopReason.END, None),
        (
            {"finish_reason": "stop", "message": {"refusal": "No."}},
            neutral.StopReason.REFUSAL,
            None,
        ),
    ],
)
def test_every_finish_reason_is_read(choice, stop, sequence):
    body = json.encode({"id": "r", "model": "m", "choices": [{"message": {}, **choice}]})

    reply = OPENAI_CHAT.decode_reply(body)

    assert isinstance(reply, neutral.Reply)
    assert (reply.choices[0].stop, reply.choices[0].stop_sequence) == (stop, sequence)


def test_pictures_in_a_reply_are_read_and_told():
    url = "data:image/png;base64,AAAA"
    image = {"type": "image_url", "image_url": {"url": url}}
    body = json.encode({"id": "r", "model": "m", "choices": [{"message": {"images": [image]}}]})

    reply = OPENAI_CHAT.decode_reply(body)

    assert isinstance(reply, neutral.Reply)
    assert reply.choices[0].parts == (
        neutral.Image(source=sources.DataSource("image/png", "AAAA")),
    )
    told = msgspec.json.decode(OPENAI_CHAT.encode_reply(reply))
    assert told["choices"][0]["message"]["images"] == [image]


def test_an_undated_reply_is_dated_now():
    reply = msgspec.structs.replace(reply_of(), created=None)

    body = msgspec.json.decode(OPENAI_CHAT.encode_reply(reply))

    assert body["created"] > 1_700_000_000


def test_a_tier_openais_clients_do_not_know_is_left_out():
    reply = msgspec.structs.replace(reply_of(), service_tier="standard")

    assert b"service_tier" not in OPENAI_CHAT.encode_reply(reply)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"boom","type":"server_error","code":"x","param":"y"}}',
        b'{"id":"r","choices":[{"error":{"message":"boom","code":"x","param":"y","type":"server_error"}}]}',
    ],
)
def test_a_200_with_an_error_is_a_failure(body):
    failure = OPENAI_CHAT.decode_reply(body)

    assert failure == neutral.Failed(
        message="boom", kind="server_error", status=502, code="x", param="y"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b'{"choices":null}',
        b'{"choices":{}}',
        b'{"choices":[5]}',
        b'{"choices":[{"message":{"content":5}}]}',
        b'{"choices":[{"message":{"content":"\\ud800"}}]}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":5}]}}]}',
        b'{"choices":[{"message":{"images":[{"type":"image_url","image_url":"ftp://x"}]}}]}',
        b'{"choices":[],"usage":{"prompt_tokens":NaN}}',
        b'{"choices":[],"usage":{"prompt_tokens":1e400}}',
        b'{"choices":[],"usage":{"prompt_tokens":"7"}}',
        b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_chat_completion_is_a_bad_reply(body):
    with pytest.raises(BadReplyError):
        OPENAI_CHAT.decode_reply(body)
