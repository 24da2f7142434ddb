"""The law between whole replies and streams."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.collect import collect, events_of, merge_logprobs
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

texts = st.text(max_size=20)
parts = st.one_of(
    st.builds(neutral.Text, text=texts),
    st.builds(neutral.Refusal, text=texts),
    st.builds(neutral.Thinking, text=texts, signature=st.none() | texts),
    st.builds(neutral.RedactedThinking, data=texts),
    st.builds(neutral.ToolCall, id=texts, name=texts, arguments=texts),
)
logprobs = st.none() | st.just(msgspec.Raw(b'{"content":[{"token":"a"}],"refusal":null}'))


def choice(index: int) -> st.SearchStrategy[neutral.Choice]:
    return st.builds(
        neutral.Choice,
        index=st.just(index),
        parts=st.lists(parts, max_size=5).map(tuple),
        stop=st.sampled_from(neutral.StopReason),
        stop_sequence=st.none() | texts,
        logprobs=logprobs,
    )


usages = st.builds(
    Usage, input=st.integers(0, 9), output=st.integers(0, 9), cache_read=st.integers(0, 9)
)
replies = st.builds(
    neutral.Reply,
    id=texts,
    model=texts,
    choices=st.integers(0, 3).flatmap(lambda n: st.tuples(*(choice(i) for i in range(n)))),
    usage=st.none() | usages,
    created=st.none() | st.integers(0, 2**40),
    service_tier=st.none() | texts,
    system_fingerprint=st.none() | texts,
)


@given(replies)
def test_collecting_the_events_of_a_reply_gives_the_reply(reply):
    events = events_of(reply)

    assert collect(events) == reply


@given(replies)
def test_a_stream_opens_first_and_closes_last(reply):
    events = events_of(reply)

    assert isinstance(events[0], neutral.Opened)
    assert isinstance(events[-1], neutral.Closed)
    assert sum(isinstance(event, neutral.Opened | neutral.Closed) for event in events) == 2


def test_interleaved_parts_are_gathered_by_their_ordinals():
    events: list[neutral.Event] = [
        neutral.Opened(id="r", model="m"),
        neutral.ToolCallOpened(id="b", name="g", part=1),
        neutral.ToolCallOpened(id="a", name="f", part=0),
        neutral.ToolCallDelta(arguments='{"x"', part=0),
        neutral.ToolCallDelta(arguments="[", part=1),
        neutral.ToolCallDelta(arguments=":1}", part=0),
        neutral.ToolCallDelta(arguments="]", part=1),
        neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS),
        neutral.Closed(),
    ]

    reply = collect(events)

    assert reply.choices[0].parts == (
        neutral.ToolCall(id="a", name="f", arguments='{"x":1}'),
        neutral.ToolCall(id="b", name="g", arguments="[]"),
    )


def test_a_later_usage_replaces_the_first():
    opened = neutral.Opened(id="r", model="m", usage=Usage(input=5))
    later = neutral.UsageReported(Usage(input=5, output=7))
    events: list[neutral.Event] = [opened, later, neutral.Closed()]

    reply = collect(events)

    assert reply.usage == Usage(input=5, output=7)


def test_the_logprobs_of_deltas_are_joined_without_touching_figures():
    first = msgspec.Raw(b'{"content":[{"logprob":-1.10}],"refusal":null}')
    second = msgspec.Raw(b'{"content":[{"logprob":-2.50}],"refusal":[1]}')

    merged = merge_logprobs(first, second)

    assert merged is not None
    assert bytes(merged) == b'{"content":[{"logprob":-1.10},{"logprob":-2.50}],"refusal":[1]}'


@pytest.mark.parametrize(
    "events",
    [
        [],
        [neutral.Closed()],
        [neutral.Opened(id="r", model="m")],
        [neutral.Opened(id="r", model="m"), neutral.Failed(message="boom", kind="server_error")],
        [neutral.Opened(id="r", model="m"), neutral.ToolCallDelta(arguments="{}")],
    ],
)
def test_a_stream_that_is_not_whole_is_refused(events):
    with pytest.raises(BadReplyError):
        collect(events)


def test_a_part_no_event_can_say_is_refused_by_its_kind():
    image = neutral.Image(source=sources.UrlSource("https://example.com/a.png"))
    reply = neutral.Reply(id="r", model="m", choices=(neutral.Choice(parts=(image,)),))

    with pytest.raises(BadReplyError, match="image"):
        events_of(reply)
