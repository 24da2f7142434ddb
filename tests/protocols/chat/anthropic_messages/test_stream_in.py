"""Streams read from an upstream."""

import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.collect import collect
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.factories.anthropic_wire import read_stream, wire

ALL = [
    "basic", "tool_use", "refusal", "unknown_events", "message_delta_fields", "thinking_tools",
    "message_delta_omitted_usage", "server_tool_use", "incomplete_partial_json", "error_midway",
]  # fmt: skip
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"c",'
    b'"content":[],"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def data(json: str) -> bytes:
    return f"data: {json}\n\n".encode()


def ended(word="end_turn", usage='{"output_tokens":9}'):
    return data(f'{{"type":"message_delta","delta":{{"stop_reason":"{word}"}},"usage":{usage}}}')


def test_a_thinking_tool_stream_is_these_events():
    assert read_stream(wire("thinking_tools.sse")) == [
        neutral.Opened(
            id="msg_01ThinkTools",
            model="claude-opus-4-5",
            usage=Usage(input=12, cache_read=4000, cache_write_5m=100, cache_write_1h=200),
            service_tier="priority",
        ),
        neutral.ThinkingDelta(text="Two cities, ", part=0),
        neutral.ThinkingDelta(text="two calls. 🧭", part=0),
        neutral.ThinkingSigned(signature="EqoBCkgIARABGAIiQL==", part=0),
        neutral.ThinkingRedacted(data="EmwKAhgBEgy3va3=", part=1),
        neutral.TextDelta(text="Checking “both” — één moment.", part=2),
        neutral.ToolCallOpened(id="toolu_01A", name="get_weather", part=3),
        neutral.ToolCallDelta(arguments='{"city":', part=3),
        neutral.ToolCallDelta(arguments=' "Paris"}', part=3),
        neutral.ToolCallOpened(id="toolu_01B", name="get_time", part=4),
        neutral.ToolCallDelta(arguments="{}", part=4),
        neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS),
        neutral.UsageReported(
            Usage(
                input=12, cache_read=4000, cache_write_5m=100, cache_write_1h=200,
                output=60, reasoning=30,
            )
        ),
        neutral.Closed(),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_stream_cut_anywhere_gives_the_same_events(name):
    stream = wire(f"{name}.sse")
    whole = read_stream(stream)

    for cut in range(len(stream)):
        assert read_stream(stream[:cut], stream[cut:]) == whole


@pytest.mark.parametrize("name", ["thinking_tools", "error_midway"])
@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_other_line_endings_give_the_same_events(name, ending):
    stream = wire(f"{name}.sse")

    assert read_stream(stream.replace(b"\n", ending)) == read_stream(stream)


def test_bytes_one_by_one_give_the_same_events():
    stream = wire("thinking_tools.sse")

    assert read_stream(*(stream[i : i + 1] for i in range(len(stream)))) == read_stream(stream)


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("basic", Usage(input=11, output=6)),
        ("refusal", Usage(input=20, output=0)),
        (
            "message_delta_fields",
            Usage(input=40, cache_read=7, cache_write_5m=12, output=5, reasoning=3),
        ),
        ("message_delta_omitted_usage", Usage(input=25, cache_read=5, cache_write_5m=10, output=8)),
        ("unknown_events", Usage(input=11, output=6)),
    ],
)
def test_usage_of_two_events_is_merged_and_never_doubled(name, usage):
    assert collect(read_stream(wire(f"{name}.sse"))).usage == usage


def test_a_final_input_of_zero_takes_nothing_back():
    events = read_stream(START, ended(usage='{"input_tokens":0,"output_tokens":9}'), STOP)

    assert collect(events).usage == Usage(input=5, output=9)


def test_input_first_reported_at_the_end_counts():
    start = START.replace(b'"input_tokens":5', b'"input_tokens":0')

    events = read_stream(start, ended(usage='{"input_tokens":7,"output_tokens":9}'), STOP)

    assert collect(events).usage == Usage(input=7, output=9)


def test_a_streamed_refusal_tells_its_explanation():
    reply = collect(read_stream(wire("refusal.sse")))

    assert reply.choices[0].stop is neutral.StopReason.REFUSAL
    assert reply.choices[0].parts == (
        neutral.Refusal(text="This request was refused due to policy."),
    )


def test_the_vendors_own_tools_leave_no_gap_between_parts():
    reply = collect(read_stream(wire("server_tool_use.sse")))

    assert {type(part) for part in reply.choices[0].parts} == {neutral.Text}
    ordinals = [e.part for e in read_stream(wire("server_tool_use.sse")) if hasattr(e, "part")]
    assert sorted(set(ordinals)) == list(range(len(set(ordinals))))


def test_input_that_stands_whole_in_the_start_is_not_lost():
    start = '{"type":"content_block_start","index":0,"content_block":%s}'
    block = '{"type":"tool_use","id":"t","name":"f","input":{"a":1}}'

    events = read_stream(
        START, data(start % block), data('{"type":"content_block_stop","index":0}'),
        ended("tool_use"), STOP,
    )  # fmt: skip

    assert collect(events).choices[0].parts == (
        neutral.ToolCall(id="t", name="f", arguments='{"a":1}'),
    )


def test_an_error_midway_ends_the_stream():
    *before, last = read_stream(wire("error_midway.sse"), STOP)

    assert last == neutral.Failed(message="Overloaded", kind="overloaded_error", status=529)
    assert before[-1] == neutral.TextDelta(text="Hel")


def test_nothing_follows_the_end():
    assert read_stream(START, ended(), STOP, START)[-1] == neutral.Closed()


def test_a_stream_cut_before_its_stop_reason_never_closes():
    events = read_stream(START, data('{"type":"ping"}'))

    assert [type(event) for event in events] == [neutral.Opened]


def test_a_missing_message_stop_is_forgiven_after_the_stop_reason():
    assert read_stream(START, ended())[-1] == neutral.Closed()


def test_a_missing_stop_reason_is_told_from_the_content():
    assert neutral.ChoiceEnded(stop=neutral.StopReason.END) in read_stream(START, STOP)


@pytest.mark.parametrize("end", [STOP, ended(usage="null")], ids=["stop", "reason"])
def test_output_that_only_the_start_reported_counts_once_the_stream_ended(end):
    opened, *_, usage, closed = read_stream(START, end)

    assert isinstance(opened, neutral.Opened)
    assert opened.usage == Usage(input=5)
    assert usage == neutral.UsageReported(Usage(input=5, output=1))
    assert closed == neutral.Closed()


def test_types_may_stand_in_the_event_name_alone_and_done_is_ignored():
    stream = START.replace(b'"type":"message_start",', b"") + ended() + STOP + b"data: [DONE]\n\n"

    assert collect(read_stream(stream)).id == "m"


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: <html>\n\n",
        b"data: \xff\n\n",
        b"data: []\n\n",
        data('{"type":"content_block_delta","index":"a"}'),
        data('{"type":"content_block_start","content_block":{"type":"text","text":5}}'),
        data('{"type":"message_start","message":5}'),
    ],
)
def test_data_that_is_not_of_the_dialect_is_a_bad_reply(garbage):
    with pytest.raises(BadReplyError):
        ANTHROPIC_MESSAGES.stream_decoder().feed(START + garbage)


def test_a_block_of_the_future_is_skipped_whatever_its_fields():
    block = '{"type":"content_block_start","index":0,"content_block":{"type":"new","text":5}}'

    assert len(read_stream(START, data(block), data('{"type":"novel","index":"x"}'))) == 1
