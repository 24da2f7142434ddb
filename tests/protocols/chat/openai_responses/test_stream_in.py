"""Upstreams' responses, whole and streamed, read into the neutral form."""

import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import collect
from meterway.protocols.chat.envelopes import Envelope, unseal
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.protocols.chat.openai_responses import upstream

examples = pytest.mark.parametrize("items", upstream.EXAMPLES.values(), ids=upstream.EXAMPLES)


def events_of(*chunks: bytes) -> list[neutral.Event]:
    decoder = OPENAI_RESPONSES.stream_decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def read(*items, **fields) -> neutral.Reply:
    reply = OPENAI_RESPONSES.decode_reply(upstream.body(*items, **fields))
    assert isinstance(reply, neutral.Reply)
    return reply


@examples
def test_a_stream_collected_is_the_whole_reply(items):
    assert collect(events_of(upstream.whole_stream(*items))) == read(*items)


@examples
def test_a_cut_at_every_offset_gives_the_same_events(items):
    stream = upstream.whole_stream(*items)
    whole = events_of(stream)

    for place in range(len(stream) + 1):
        assert events_of(stream[:place], stream[place:]) == whole


@examples
@pytest.mark.parametrize(
    "spelling",
    [
        lambda stream: stream.replace(b"\n", b"\r\n"),
        lambda stream: stream.replace(b"event: response", b": hello\n\nevent: response"),
        lambda stream: b"\n".join(
            line for line in stream.split(b"\n") if not line.startswith(b"event: ")
        ),
        lambda stream: stream.removesuffix(b"\n\n"),
        lambda stream: stream + b"data: [DONE]\n\n",
    ],
    ids=["crlf", "comments", "no names", "no last blank line", "done"],
)
def test_every_spelling_of_the_framing_gives_the_same_events(items, spelling):
    stream = upstream.whole_stream(*items)

    assert events_of(spelling(stream)) == events_of(stream)


@examples
@pytest.mark.parametrize("left_out", ["deltas", "added", "items", "all but the end"])
def test_what_a_server_leaves_out_is_read_from_what_follows(items, left_out):
    told = [one for place, item in enumerate(items) for one in upstream.told(place, item)]
    kept = {
        "deltas": lambda kind: not kind.endswith(".delta"),
        "added": lambda kind: kind != "response.output_item.added",
        "items": lambda kind: "output_item" not in kind,
        "all but the end": lambda kind: False,
    }[left_out]
    middle = [one for one in told if kept(one["type"])]
    last = upstream.event("response.completed", response=upstream.response(*items))

    for opening in (upstream.opening(), []):
        reply = collect(events_of(upstream.stream(*opening, *middle, last)))

        assert reply == read(*items)


def test_items_the_end_leaves_out_were_told_before():
    middle = [*upstream.told(0, upstream.THOUGHT), *upstream.told(1, upstream.call(1))]
    last = upstream.event("response.completed", response=upstream.response())

    reply = collect(events_of(upstream.stream(*upstream.opening(), *middle, last)))

    assert reply == read(upstream.THOUGHT, upstream.call(1))


def test_a_whole_body_where_a_stream_was_asked_for_is_told_as_one():
    assert collect(events_of(upstream.body(upstream.MESSAGE))) == read(upstream.MESSAGE)


def test_a_response_is_read_with_its_usage_in_classes_that_never_overlap():
    reply = read(upstream.MESSAGE)

    assert (reply.id, reply.model, reply.created) == ("resp_up", "gpt-5-2025-08-07", 1741476777)
    assert reply.service_tier == "default"
    assert reply.usage == Usage(input=17, cache_read=16, cache_write_5m=4, output=6, reasoning=5)
    assert reply.choices == (
        neutral.Choice(parts=(neutral.Text(text="Hello, wörld"),), stop=neutral.StopReason.END),
    )


def test_encrypted_reasoning_is_in_an_envelope_that_names_its_dialect():
    thought, text = read(upstream.THOUGHT, upstream.MESSAGE).choices[0].parts

    assert isinstance(thought, neutral.Thinking)
    assert thought.text == "First.\n\nSo"
    assert unseal(thought.signature or "") == Envelope(
        Dialect.OPENAI_RESPONSES, "item", upstream.SECRET, "rs_1"
    )
    assert text == neutral.Text(text="Hello, wörld")


def test_parallel_calls_whose_arguments_come_by_turns_stay_apart():
    first, second = upstream.call(1, '{"a":1}'), upstream.call(2, '{"b":2}')
    one, two = upstream.told(0, first), upstream.told(1, second)
    woven = [event for pair in zip(one, two, strict=True) for event in pair]
    last = upstream.event("response.completed", response=upstream.response(first, second))

    reply = collect(events_of(upstream.stream(*upstream.opening(), *woven, last)))

    assert reply.choices[0].parts == (
        neutral.ToolCall(id="call_1", name="weather", arguments='{"a":1}'),
        neutral.ToolCall(id="call_2", name="weather", arguments='{"b":2}'),
    )
    assert reply.choices[0].stop is neutral.StopReason.TOOL_CALLS


def test_items_of_the_vendors_own_tools_and_unknown_events_are_skipped():
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    begun = upstream.event("response.web_search_call.searching", output_index=0, item_id="ws_1")
    added = upstream.event("response.output_item.added", output_index=0, item=search)
    last = upstream.event(
        "response.completed", response=upstream.response(search, upstream.MESSAGE)
    )
    middle = [added, begun, *upstream.told(1, upstream.MESSAGE)]

    reply = collect(events_of(upstream.stream(*upstream.opening(), *middle, last)))

    assert reply.choices[0].parts == (neutral.Text(text="Hello, wörld"),)


def test_fields_of_other_kinds_may_have_other_types():
    found = {"type": "tool_search_call", "id": "ts_1", "arguments": {"goal": "x"}}
    delta = upstream.event("response.shell_call_output_content.delta", delta={"stdout": "x"})
    last = upstream.event("response.completed", response=upstream.response(found))
    middle = [delta, upstream.event("response.output_item.done", output_index=0, item=found)]

    reply = collect(events_of(upstream.stream(*upstream.opening(), *middle, last)))

    assert reply.choices[0].parts == ()


def test_arguments_sent_as_an_object_are_its_text():
    (part,) = read({**upstream.call(1), "arguments": {"a": 1}}).choices[0].parts

    assert part == neutral.ToolCall(id="call_1", name="weather", arguments='{"a":1}')


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("max_output_tokens", neutral.StopReason.LENGTH),
        ("content_filter", neutral.StopReason.CONTENT_FILTER),
        ("something new", neutral.StopReason.LENGTH),
    ],
)
def test_an_incomplete_response_says_why(reason, stop):
    fields = {"incomplete_details": {"reason": reason}}
    whole = read(upstream.MESSAGE, status="incomplete", **fields)
    stream = upstream.whole_stream(upstream.MESSAGE, end="incomplete", **fields)

    assert whole.choices[0].stop is stop
    assert collect(events_of(stream)) == whole


@pytest.mark.parametrize(
    "last",
    [
        upstream.event(
            "response.failed",
            response=upstream.response(
                status="failed",
                usage=None,
                error={"code": "rate_limit_exceeded", "message": "Slow down."},
            ),
        ),
        upstream.event("error", code="rate_limit_exceeded", message="Slow down.", param=None),
        upstream.event("error", error={"code": "rate_limit_exceeded", "message": "Slow down."}),
    ],
    ids=["failed", "error", "nested error"],
)
def test_a_failure_ends_the_stream(last):
    events = events_of(upstream.stream(*upstream.opening(), last), upstream.stream(last))

    assert len(events) == 2
    failed = events[1]
    assert isinstance(failed, neutral.Failed)
    assert (failed.message, failed.status, failed.code) == (
        "Slow down.",
        429,
        "rate_limit_exceeded",
    )


def test_a_failed_response_is_a_failure_whole_too():
    failed = OPENAI_RESPONSES.decode_reply(
        upstream.body(status="failed", error={"code": "server_error", "message": "Sorry."})
    )

    assert isinstance(failed, neutral.Failed)
    assert (failed.message, failed.code) == ("Sorry.", "server_error")


def test_a_cut_stream_never_closes():
    stream = upstream.stream(*upstream.opening(), *upstream.told(0, upstream.MESSAGE))

    assert not any(isinstance(event, neutral.Closed) for event in events_of(stream))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":1}', b'{"choices":[]}', b"<html>"])
def test_what_is_no_response_is_refused(body):
    with pytest.raises(BadReplyError):
        OPENAI_RESPONSES.decode_reply(body)


def test_data_that_is_no_event_is_refused():
    with pytest.raises(BadReplyError):
        events_of(b"data: {nonsense}\n\n")


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input=3, output=2)),
        (
            {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 9}},
            Usage(cache_read=3, output=2),
        ),
        (
            {
                "input_tokens": 32,
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 110},
                "total_tokens": 151,
            },
            Usage(input=32, output=9, reasoning=110),
        ),
        ({"input_tokens": -1, "output_tokens": 2}, Usage(output=2)),
        ({"total_tokens": 5}, None),
        (None, None),
    ],
)
def test_usage_is_never_negative_and_absent_where_unsaid(report, usage):
    assert read(upstream.MESSAGE, usage=report).usage == usage


def test_logprobs_are_those_of_chat():
    token = {"token": "Hi", "bytes": [72, 105], "logprob": -0.1, "top_logprobs": []}
    part = {**upstream.TEXT, "logprobs": [token]}

    choice = read({**upstream.MESSAGE, "content": [part]}).choices[0]

    assert choice.logprobs == json.raw({"content": [token], "refusal": None})
