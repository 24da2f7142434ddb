"""Upstreams' streams, read as neutral events."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import collect
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

WIRE = Path(__file__).parents[3] / "wire" / "openai_chat"
STREAMS = sorted(path.name for path in WIRE.glob("*.sse"))
PAIRS = sorted(path.stem for path in WIRE.glob("*.sse") if path.with_suffix(".json").exists())
END = b"data: [DONE]\n\n"


def events_of(*chunks: bytes) -> list[neutral.Event]:
    decoder = OPENAI_CHAT.stream_decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def data(**fields) -> bytes:
    return b"data: " + json.encode({"id": "r", "model": "m", "created": 1, **fields}) + b"\n\n"


def delta(finish=None, **fields) -> bytes:
    return data(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


def call(**fields) -> bytes:
    return delta(tool_calls=[fields])


def parts_of(*chunks: bytes) -> tuple[neutral.AssistantPart, ...]:
    return collect(events_of(*chunks, delta("tool_calls"), END)).choices[0].parts


@pytest.mark.parametrize("name", PAIRS)
def test_a_stream_collected_is_the_whole_reply(name):
    stream, body = (WIRE / f"{name}.sse").read_bytes(), (WIRE / f"{name}.json").read_bytes()

    reply = collect(events_of(stream))

    assert reply == OPENAI_CHAT.decode_reply(body)


def test_there_are_pairs_to_compare():
    assert {"text", "tools", "refusal", "deepseek", "openrouter", "mistral"} <= set(PAIRS)


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_at_every_offset_gives_the_same_events(name):
    stream = (WIRE / name).read_bytes()
    whole = events_of(stream)

    for place in range(len(stream) + 1):
        assert events_of(stream[:place], stream[place:]) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_single_bytes_give_the_same_events(name):
    stream = (WIRE / name).read_bytes()

    assert events_of(*(stream[i : i + 1] for i in range(len(stream)))) == events_of(stream)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(
    "spelling",
    [
        lambda stream: stream.replace(b"\n", b"\r\n"),
        lambda stream: stream.replace(b"data: ", b"data:"),
        lambda stream: stream.replace(b"data: ", b": keep-alive\n\nevent: message\nid: 1\ndata: "),
        lambda stream: b"\xef\xbb\xbf" + stream,
        lambda stream: stream.removesuffix(b"\n\n"),
        lambda stream: stream.removesuffix(END),
    ],
    ids=["crlf", "no-space", "comments", "bom", "no-last-blank-line", "no-done"],
)
def test_every_spelling_of_the_framing_gives_the_same_events(name, spelling):
    stream = (WIRE / name).read_bytes()

    assert events_of(spelling(stream)) == events_of(stream)


def test_arguments_are_never_dropped_and_parallel_calls_keep_apart():
    parts = parts_of(
        call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(index=0, function={"arguments": '{"x"'}),
        call(index=1, id="b", type="function", function={"name": "g", "arguments": ""}),
        call(index=1, function={"arguments": "["}),
        call(index=0, function={"arguments": ":1}"}),
        call(index=1, function={"arguments": "]"}),
    )

    assert parts == (
        neutral.ToolCall(id="a", name="f", arguments='{"x":1}'),
        neutral.ToolCall(id="b", name="g", arguments="[]"),
    )


A, B = (
    neutral.ToolCall(id="a", name="look", arguments='{"x":1}'),
    neutral.ToolCall(id="b", name="look", arguments="{}"),
)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [
                {"id": "a", "function": {"name": "look", "arguments": '{"x":1}'}},
                {"id": "b", "function": {"name": "look", "arguments": "{}"}},
            ],
            (A, B),
            id="whole calls without index",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"x":1}'}},
                {"index": 0, "id": "b", "function": {"name": "look", "arguments": "{}"}},
            ],
            (A, B),
            id="every index 0",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"x"'}},
                {"index": 0, "id": "a", "function": {"name": "look", "arguments": ":1}"}},
            ],
            (A,),
            id="id and name repeated",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"x"'}},
                {"index": 0, "id": "", "function": {"name": "look", "arguments": ":1}"}},
            ],
            (A,),
            id="name repeated, id empty",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "lo"}},
                {"index": 0, "function": {"name": "ok"}},
                {"index": 0, "function": {"arguments": '{"x":1}'}},
            ],
            (A,),
            id="name split",
        ),
        pytest.param(
            [
                {"id": "a", "function": {"name": "look", "arguments": ""}},
                {"function": {"arguments": '{"x"'}},
                {"function": {"arguments": ":1}"}},
            ],
            (A,),
            id="continued without index or id",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "function": {"name": "look", "arguments": {"x": 1}}}],
            (A,),
            id="arguments as an object",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "function": {"name": "look", "arguments": None}}],
            (neutral.ToolCall(id="a", name="look", arguments=""),),
            id="no arguments",
        ),
    ],
)
def test_every_habit_of_sending_calls_is_understood(pieces, expected):
    assert parts_of(*(call(**piece) for piece in pieces)) == expected


def test_calls_without_ids_get_ids_of_their_own():
    parts = collect(events_of((WIRE / "gemini_tools.sse").read_bytes())).choices[0].parts

    ids = [part.id for part in parts if isinstance(part, neutral.ToolCall)]
    assert len(set(ids)) == 2
    assert all(ids)


def test_a_call_is_opened_before_its_arguments_and_after_the_stream():
    events = events_of((WIRE / "tools.sse").read_bytes())

    names = [type(event).__name__ for event in events]
    assert names[:3] == ["Opened", "ToolCallOpened", "ToolCallDelta"]


def test_parallel_calls_without_arguments_are_all_told():
    parts = parts_of(
        call(index=0, id="a", function={"name": "f", "arguments": ""}),
        call(index=1, id="b", function={"name": "g", "arguments": ""}),
    )

    assert parts == (
        neutral.ToolCall(id="a", name="f", arguments=""),
        neutral.ToolCall(id="b", name="g", arguments=""),
    )


def test_reasoning_details_of_another_index_are_another_part():
    first = {"type": "reasoning.text", "text": "a", "index": 0}
    second = {"type": "reasoning.summary", "summary": "b", "index": 1}

    parts = parts_of(delta(reasoning_details=[first]), delta(reasoning_details=[second]))

    assert parts == (neutral.Thinking(text="a"), neutral.Thinking(text="b"))


@pytest.mark.parametrize("stream", [b"", b": hello\n\n", data(choices=[])])
def test_a_stream_cut_before_any_choice_is_not_closed(stream):
    events = events_of(stream)

    assert not any(isinstance(event, neutral.Closed) for event in events)


def test_the_deprecated_function_call_is_a_call():
    parts = parts_of(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": "{}"}),
    )

    (part,) = parts
    assert isinstance(part, neutral.ToolCall)
    assert (part.name, part.arguments) == ("f", "{}")


def test_a_finish_of_stop_after_calls_means_the_calls():
    events = events_of(call(index=0, id="a", function={"name": "f"}), delta("stop"), END)

    assert neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS) in events


def test_text_after_thinking_and_thinking_after_text_are_parts_of_their_own():
    parts = parts_of(
        delta(reasoning="a"), delta(content="b"), delta(reasoning_content="c"), delta(content="d")
    )

    assert parts == (
        neutral.Thinking(text="a"),
        neutral.Text(text="b"),
        neutral.Thinking(text="c"),
        neutral.Text(text="d"),
    )


def test_choices_are_kept_apart():
    chunks = [
        data(choices=[{"index": 1, "delta": {"content": "one"}}]),
        data(choices=[{"index": 0, "delta": {"content": "zero"}}]),
        data(choices=[{"index": 1, "delta": {}, "finish_reason": "stop"}]),
        data(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}]),
    ]

    reply = collect(events_of(*chunks, END))

    assert [choice.parts for choice in reply.choices] == [
        (neutral.Text(text="zero"),),
        (neutral.Text(text="one"),),
    ]
    assert reply.choices[0].stop is neutral.StopReason.LENGTH


def test_usage_is_read_wherever_it_stands():
    plain = {"prompt_tokens": 7, "completion_tokens": 2}
    moonshot = data(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": plain}])
    groq = events_of((WIRE / "groq.sse").read_bytes())

    assert neutral.UsageReported(Usage(input=7, output=2)) in events_of(moonshot, END)
    assert neutral.UsageReported(Usage(input=7, output=2)) in groq


def test_an_unchanged_usage_is_told_once():
    chunk = data(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 2})

    events = events_of(delta(content="x"), chunk, chunk, END)

    assert sum(isinstance(event, neutral.UsageReported) for event in events) == 1


def test_logprobs_of_text_and_of_a_refusal_are_kept():
    told = {"content": [{"token": "x"}], "refusal": None}
    denied = {"content": None, "refusal": [{"token": "n"}]}

    reply = collect(
        events_of(
            data(choices=[{"index": 0, "delta": {"content": "x"}, "logprobs": told}]),
            data(choices=[{"index": 0, "delta": {"refusal": "n"}, "logprobs": denied}]),
            END,
        )
    )

    choice = reply.choices[0]
    assert choice.parts == (neutral.Text(text="x"), neutral.Refusal(text="n"))
    assert choice.logprobs is not None
    assert bytes(choice.logprobs) == b'{"content":[{"token":"x"}],"refusal":[{"token":"n"}]}'


def test_an_error_inside_the_stream_fails_it_and_nothing_follows():
    events = events_of((WIRE / "error_mid_stream.sse").read_bytes(), delta(content="more"), END)

    assert events[-1] == neutral.Failed(
        message="Rate limit exceeded upstream", kind="server_error", status=429
    )


@pytest.mark.parametrize(
    "block",
    [
        b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n',
        b'event: error\ndata: {"message":"boom","type":"server_error"}\n\n',
        b'event: error\ndata: {"error":"boom"}\n\n',
        b'data: {"error":"boom"}\n\n',
    ],
)
def test_every_shape_of_an_error_event_fails_the_stream(block):
    events = events_of(delta(content="x"), block)

    assert isinstance(events[-1], neutral.Failed)
    assert events[-1].message == "boom"
    assert events[-1].kind == "server_error"


def test_a_stream_without_its_end_mark_is_closed_only_after_every_finish():
    unfinished = data(choices=[{"index": 1, "delta": {"content": "y"}}])

    assert isinstance(events_of(delta(content="x"), delta("stop"))[-1], neutral.Closed)
    assert not isinstance(events_of(delta(content="x"), delta())[-1], neutral.Closed)
    assert not isinstance(events_of(unfinished, delta("stop"))[-1], neutral.Closed)


def test_an_end_mark_without_a_finish_ends_the_choices():
    events = events_of(delta(content="x"), END)

    assert events[-2:] == [
        neutral.ChoiceEnded(stop=neutral.StopReason.END),
        neutral.Closed(),
    ]


def test_a_whole_reply_in_place_of_a_stream_is_told_as_one():
    body = (WIRE / "tools.json").read_bytes()

    assert collect(events_of(body)) == OPENAI_CHAT.decode_reply(body)


@pytest.mark.parametrize(
    "stream",
    [
        b"data: <html>\n\n",
        b"data: [1,2]\n\n",
        b'data: {"choices":5}\n\n',
        b'data: {"id":"r","choices":[{"delta":{"content":5}}]}\n\n',
        b'data: {"id":"r","choices":[{"delta":{"content":"\\ud800"}}]}\n\n',
        b'data: {"id":"r","choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"id":"r","usage":{"prompt_tokens":NaN}}\n\n',
        b'data: {"id":"r","usage":{"prompt_tokens":1e400}}\n\n',
        b'data: {"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"id":"r","choices":[{"delta":{"tool_calls":[5]}}]}\n\n',
        call(function={"name": "f", "arguments": "@"}).replace(b"@", b"\\ud800"),
        END,
        b'{"not":"a reply"}',
    ],
)
def test_what_is_no_chat_stream_is_a_bad_reply(stream):
    with pytest.raises(BadReplyError):
        events_of(stream)


def test_bytes_after_the_end_are_ignored():
    stream = delta(content="x") + delta("stop") + END

    assert events_of(stream, b"data: <html>\n\n", END) == events_of(stream)


@settings(max_examples=50)
@given(st.data())
def test_any_chunking_gives_the_same_events(choose):
    stream = (WIRE / "openrouter.sse").read_bytes()
    cuts = choose.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    places = [0, *sorted(cuts), len(stream)]

    chunks = [stream[a:b] for a, b in pairwise(places)]

    assert events_of(*chunks) == events_of(stream)
