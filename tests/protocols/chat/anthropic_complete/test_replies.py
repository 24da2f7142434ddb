"""Text completions for clients, whole and streamed, side by side."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_complete import ANTHROPIC_COMPLETE
from meterway.protocols.chat.collect import events_of
from meterway.protocols.chat.neutral import StopReason
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
replies = st.builds(
    neutral.Reply,
    id=texts,
    model=texts,
    choices=st.tuples(
        st.builds(
            neutral.Choice,
            parts=st.lists(
                st.builds(neutral.Text, text=texts)
                | st.builds(neutral.Refusal, text=texts)
                | st.builds(neutral.Thinking, text=texts, signature=st.none() | texts),
                max_size=4,
            ).map(tuple),
            stop=st.sampled_from(StopReason),
            stop_sequence=st.none() | texts,
        )
    ),
    usage=st.none() | st.builds(Usage, input=st.integers(0, 99)),
)


def reply_of(*said, stop=StopReason.END, sequence=None) -> neutral.Reply:
    choice = neutral.Choice(parts=said, stop=stop, stop_sequence=sequence)
    return neutral.Reply(id="msg_01", model="claude-2.1", choices=(choice,))


def whole(reply: neutral.Reply):
    return msgspec.json.decode(ANTHROPIC_COMPLETE.encode_reply(reply))


def streamed(events) -> bytes:
    encoder = ANTHROPIC_COMPLETE.stream_encoder(neutral.Request(model="asked", messages=()))
    return b"".join(encoder.encode(event) for event in events)


def completions_of(stream: bytes):
    blocks = [sse.parse(block) for block in sse.Splitter().feed(stream)]
    return [
        msgspec.json.decode(event.data)
        for event in blocks
        if event is not None and event.name == b"completion"
    ]


def test_a_whole_reply_has_what_the_api_sent():
    assert whole(reply_of(neutral.Text(text=" Hello!"))) == {
        "type": "completion",
        "id": "compl_01",
        "completion": " Hello!",
        "stop_reason": "stop_sequence",
        "stop": "\n\nHuman:",
        "model": "claude-2.1",
        "log_id": "compl_01",
    }


@given(replies)
def test_a_stream_says_what_the_whole_says(reply):
    body = whole(reply)

    *more, last = completions_of(streamed(events_of(reply)))

    assert "".join(event["completion"] for event in more) == body["completion"]
    assert all((event["stop_reason"], event["stop"]) == (None, None) for event in more)
    assert last == {**body, "completion": ""}
    assert {(event["id"], event["log_id"]) for event in more} <= {(body["id"], body["log_id"])}


def test_a_stream_tells_every_event_in_order():
    stream = streamed(events_of(reply_of(neutral.Text(text="Hi"))))

    told = b'"model":"claude-2.1","log_id":"compl_01"}\n\n'
    head = b'event: completion\ndata: {"type":"completion","id":"compl_01",'
    assert stream == PING + (
        head
        + b'"completion":"Hi","stop_reason":null,"stop":null,'
        + told
        + head
        + b'"completion":"","stop_reason":"stop_sequence","stop":"\\n\\nHuman:",'
        + told
    )


@pytest.mark.parametrize(
    ("stop", "sequence", "reason", "told"),
    [
        (StopReason.END, None, "stop_sequence", "\n\nHuman:"),
        (StopReason.STOP_SEQUENCE, "END", "stop_sequence", "END"),
        (StopReason.LENGTH, None, "max_tokens", None),
        (StopReason.CONTEXT_WINDOW, None, "max_tokens", None),
        (StopReason.REFUSAL, None, "refusal", None),
        (StopReason.CONTENT_FILTER, None, "refusal", None),
    ],
)
def test_the_reason_to_stop_is_told(stop, sequence, reason, told):
    reply = reply_of(neutral.Text(text="x"), stop=stop, sequence=sequence)

    body, last = whole(reply), completions_of(streamed(events_of(reply)))[-1]

    assert (body["stop_reason"], body["stop"]) == (reason, told)
    assert (last["stop_reason"], last["stop"]) == (reason, told)


def test_reasoning_is_hidden():
    reply = reply_of(neutral.Thinking(text="hm"), neutral.Text(text="Hi"))

    assert whole(reply)["completion"] == "Hi"
    assert b"hm" not in streamed(events_of(reply))


def test_of_several_choices_the_first_is_told():
    said = [neutral.Choice(index=i, parts=(neutral.Text(text=str(i)),)) for i in range(2)]
    reply = msgspec.structs.replace(reply_of(), choices=tuple(said))

    told = completions_of(streamed(events_of(reply)))

    assert whole(reply)["completion"] == "0"
    assert [event["completion"] for event in told] == ["0", ""]


def test_a_stream_that_closes_unsaid_ends_all_the_same():
    events = [neutral.Opened(id="x", model=""), neutral.TextDelta(text="Hi"), neutral.Closed()]

    *_, last = completions_of(streamed(events))

    assert (last["stop_reason"], last["model"]) == ("stop_sequence", "asked")


def test_an_error_in_mid_stream_is_told_as_anthropic_does():
    failed = neutral.Failed(message="boom", kind="overloaded_error", status=529)
    events = [neutral.Opened(id="r", model="m"), neutral.TextDelta(text="Hi"), failed]

    error = (
        b'event: error\ndata: {"type":"error","error":'
        b'{"type":"overloaded_error","message":"boom"}}\n\n'
    )
    assert streamed(events).endswith(error)
    assert ANTHROPIC_COMPLETE.encode_failure(failed) == error


def test_a_part_that_is_no_text_is_the_upstreams_fault():
    reply = reply_of(neutral.ToolCall(id="a", name="f", arguments="{}"))

    with pytest.raises(BadReplyError):
        whole(reply)
    with pytest.raises(BadReplyError):
        streamed(events_of(reply))
