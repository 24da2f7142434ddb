"""Neutral replies and events, told to clients of the Responses API; the official SDK judges."""

import itertools
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import events_of
from meterway.protocols.chat.envelopes import Envelope, seal, unseal
from meterway.protocols.chat.openai_responses import ResponsesTurn, frame_of
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import ACCOUNT_EMPTY, BadReplyError
from meterway.protocols.usage import Usage
from tests.fakes.clock import FakeClock

JUDGE: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(input=10, cache_read=3, cache_write_5m=2, cache_write_1h=1, output=4, reasoning=5)
TOOLS = [
    {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True},
    {"type": "custom", "name": "patch", "format": {"type": "text"}},
    {
        "type": "namespace",
        "name": "mcp__files",
        "description": "Files.",
        "tools": [
            {"type": "function", "name": "read", "parameters": {"type": "object"}},
            {"type": "custom", "name": "write"},
        ],
    },
]
TEXT = neutral.Text(text="Hello, wörld")
THINKING = neutral.Thinking(text="Let me see.", signature="c2ln")
REDACTED = neutral.RedactedThinking(data="cmVk")
CALLS = (
    neutral.ToolCall(id="c1", name="weather", arguments='{"city":"Ulm"}'),
    neutral.ToolCall(id="c2", name="patch", arguments='{"input":"*** Begin\\n"}'),
    neutral.ToolCall(id="c3", name="mcp__files__read", arguments="{}", signature="Z2Vt"),
    neutral.ToolCall(id="c4", name="mcp__files__write", arguments='{"input":""}'),
)
EXAMPLES: dict[str, tuple[neutral.AssistantPart, ...]] = {
    "text": (TEXT,),
    "texts": (TEXT, neutral.Text(text="Bye")),
    "refusal": (TEXT, neutral.Refusal(text="No.")),
    "thinking": (THINKING, TEXT, neutral.Thinking(text="Hm."), TEXT),
    "redacted": (REDACTED, TEXT),
    "calls": (THINKING, TEXT, *CALLS),
    "call before text": (CALLS[0], TEXT),
    "nothing": (),
}
examples = pytest.mark.parametrize("parts", EXAMPLES.values(), ids=EXAMPLES)


def turn_of(**fields: Any) -> ResponsesTurn:
    body = json.decode_top(json.encode({"model": "asked", "input": "Hi", "tools": TOOLS, **fields}))
    return ResponsesTurn(frame_of(body, "resp_ours", 1000), FakeClock(1010.0))


def reply_of(*parts: neutral.AssistantPart, stop=neutral.StopReason.END, **fields):
    choice = neutral.Choice(parts=parts, stop=stop)
    return neutral.Reply(id="up", model="asked", choices=(choice,), usage=USAGE, **fields)


def streamed(turn: ResponsesTurn, events: list[neutral.Event]) -> list[dict[str, Any]]:
    request = turn.decode_request(json.decode_top(b'{"model":"asked","input":"Hi"}'))
    encoder = turn.stream_encoder(request)
    return parsed(b"".join(encoder.encode(event) for event in events))


def parsed(stream: bytes) -> list[dict[str, Any]]:
    events = []
    for block in sse.Splitter().feed(stream):
        event = sse.parse(block)
        assert event is not None
        fields = msgspec.json.decode(event.data)
        assert fields["type"] == event.name.decode()
        events.append(fields)
    return events


def whole(turn: ResponsesTurn, *parts: neutral.AssistantPart, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(turn.encode_reply(reply_of(*parts, **fields)))
    return told


def without_ids(value: Any) -> Any:
    """Items are named at random; everything else has to be the same."""
    if isinstance(value, list):
        return [without_ids(one) for one in value]
    if isinstance(value, dict):
        return {key: without_ids(one) for key, one in value.items() if key not in {"id", "item_id"}}
    return value


@examples
@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]], ids=["shown", "all"])
def test_the_official_sdk_reads_the_response_and_every_event(parts, include):
    turn = turn_of(include=include)

    Response.model_validate(whole(turn, *parts), strict=False)
    for event in streamed(turn, events_of(reply_of(*parts))):
        JUDGE.validate_python(event)


@examples
def test_a_stream_ends_with_the_whole_response(parts):
    told, whole_turn = turn_of(), turn_of()

    last = streamed(told, events_of(reply_of(*parts)))[-1]

    assert last["type"] == "response.completed"
    assert without_ids(last["response"]) == without_ids(whole(whole_turn, *parts))
    for turn in (told, whole_turn):
        assert turn.frame.status == "completed"
    assert msgspec.json.decode(told.frame.final or b"") == last["response"]


@examples
def test_events_are_numbered_and_items_are_told_empty_growing_and_done(parts):
    events = streamed(turn_of(), events_of(reply_of(*parts)))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[0]["response"]["status"] == "in_progress"
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == list(range(len(added)))
    final = events[-1]["response"]["output"]
    assert [one["item"] for one in sorted(done, key=lambda one: one["output_index"])] == final
    for index, item in enumerate(final):
        inner = [one for one in events if one.get("output_index") == index and "item_id" in one]
        assert {one["item_id"] for one in inner} <= {item["id"]}


def test_deltas_join_to_what_is_done():
    pieces = ("He", "llo", "")
    events: list[neutral.Event] = [neutral.Opened(id="up", model="asked")]
    events += [neutral.ThinkingDelta(text=text, part=0) for text in pieces]
    events += [neutral.TextDelta(text=text, part=1) for text in pieces]
    events.append(neutral.ToolCallOpened(id="c1", name="weather", part=2))
    events += [neutral.ToolCallDelta(arguments=text, part=2) for text in ('{"a"', ":1", "}")]
    events += [neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS), neutral.Closed()]

    told = streamed(turn_of(), events)

    for kind, key, text in (
        ("response.reasoning_summary_text", "text", "Hello"),
        ("response.output_text", "text", "Hello"),
        ("response.function_call_arguments", "arguments", '{"a":1}'),
    ):
        assert "".join(one["delta"] for one in told if one["type"] == f"{kind}.delta") == text
        assert [one[key] for one in told if one["type"] == f"{kind}.done"] == [text]


def test_a_custom_tool_is_called_by_its_input():
    events = streamed(turn_of(), events_of(reply_of(CALLS[1])))

    item = events[-1]["response"]["output"][0]
    assert (item["type"], item["name"], item["input"]) == (
        "custom_tool_call",
        "patch",
        "*** Begin\n",
    )
    assert item["call_id"] == "c2"
    assert [one["delta"] for one in events if one["type"].endswith("input.delta")] == [
        "*** Begin\n"
    ]


def test_what_a_model_writes_to_a_custom_tool_without_its_json_is_the_input():
    told = whole(turn_of(), neutral.ToolCall(id="c", name="patch", arguments="*** Begin"))

    assert told["output"][0]["input"] == "*** Begin"


def test_a_tool_of_a_namespace_is_told_as_it_was_declared():
    items = whole(turn_of(), *CALLS[2:])["output"]

    named = [(one["type"], one["namespace"], one["name"]) for one in items if "name" in one]
    assert named == [
        ("function_call", "mcp__files", "read"),
        ("custom_tool_call", "mcp__files", "write"),
    ]


def test_calls_may_grow_side_by_side():
    events: list[neutral.Event] = [neutral.Opened(id="up", model="asked")]
    events += [neutral.ToolCallOpened(id=f"c{part}", name="weather", part=part) for part in (0, 1)]
    events += [neutral.ToolCallDelta(arguments=text, part=part) for text in "{}" for part in (0, 1)]
    events += [neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS), neutral.Closed()]

    output = streamed(turn_of(), events)[-1]["response"]["output"]

    assert [item["arguments"] for item in output] == ["{}", "{}"]


def test_a_call_continued_but_never_begun_is_refused():
    with pytest.raises(BadReplyError):
        streamed(turn_of(), [neutral.ToolCallDelta(arguments="{}", part=3)])


def test_the_response_repeats_the_request_and_has_every_key():
    turn = turn_of(
        instructions="Be brief.",
        metadata={"team": "a"},
        conversation="conv_1",
        temperature=0.5,
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        max_output_tokens=99,
        prompt_cache_key="key",
        unknown=1,
    )

    told = whole(turn, TEXT, service_tier="priority")

    assert (told["id"], told["created_at"]) == ("resp_ours", 1000)
    assert told["completed_at"] == 1010
    assert told["instructions"] == "Be brief."
    assert told["conversation"] == {"id": "conv_1"}
    assert told["reasoning"] == {"effort": "low", "summary": None}
    assert told["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert told["tools"] == TOOLS
    assert told["service_tier"] == "priority"
    assert (told["temperature"], told["max_output_tokens"]) == (0.5, 99)
    assert "unknown" not in told
    nullable = {"error", "incomplete_details", "max_tool_calls", "previous_response_id"}
    nullable |= {"safety_identifier", "user", "prompt_cache_retention"}
    assert all(told[name] is None for name in nullable)
    defaults: dict[str, Any] = {
        "background": False,
        "store": True,
        "presence_penalty": 0,
        "frequency_penalty": 0,
    }
    defaults |= {"top_logprobs": 0, "top_p": 1, "truncation": "disabled", "tool_choice": "auto"}
    assert {name: told[name] for name in defaults} == defaults


def test_usage_is_told_with_both_breakdowns():
    assert whole(turn_of(), TEXT)["usage"] == {
        "input_tokens": 16,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 25,
    }


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (neutral.StopReason.LENGTH, "max_output_tokens"),
        (neutral.StopReason.CONTEXT_WINDOW, "max_output_tokens"),
        (neutral.StopReason.CONTENT_FILTER, "content_filter"),
        (neutral.StopReason.REFUSAL, "content_filter"),
    ],
)
def test_an_incomplete_response_says_why(stop, reason):
    turn = turn_of()

    events = streamed(turn, events_of(reply_of(TEXT, stop=stop)))

    told = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete"
    assert told["incomplete_details"] == {"reason": reason}
    assert (told["status"], told["completed_at"], turn.frame.status) == (
        "incomplete",
        None,
        "incomplete",
    )
    assert told["output"][0]["status"] == "incomplete"
    JUDGE.validate_python(events[-1])


def test_a_refusal_in_words_is_complete():
    told = whole(turn_of(), neutral.Refusal(text="No."), stop=neutral.StopReason.REFUSAL)

    assert told["status"] == "completed"


@pytest.mark.parametrize("asked", [True, False])
def test_signatures_are_kept_and_shown_to_those_who_asked(asked):
    turn = turn_of(include=["reasoning.encrypted_content"] if asked else [])

    shown = whole(turn, THINKING, REDACTED, CALLS[2])["output"]

    kept = msgspec.json.decode(turn.frame.output or b"")
    assert [one.get("encrypted_content") is not None for one in shown] == [asked] * 3 + [False]
    assert [unseal(one["encrypted_content"]) for one in kept[:3]] == [
        Envelope(Dialect.ANTHROPIC_MESSAGES, "signature", "c2ln"),
        Envelope(Dialect.ANTHROPIC_MESSAGES, "redacted", "cmVk"),
        Envelope(Dialect.GEMINI, "call", "Z2Vt", "c3"),
    ]
    assert [one["id"] for one in kept] == [one["id"] for one in shown]


def test_openais_own_encrypted_content_is_told_as_it_came():
    sealed = seal(Envelope(Dialect.OPENAI_RESPONSES, "item", "gAAA", "rs_1"))
    turn = turn_of(include=["reasoning.encrypted_content"])

    told = whole(turn, neutral.RedactedThinking(data=sealed))

    assert told["output"][0]["encrypted_content"] == "gAAA"


@pytest.mark.parametrize("asked", [True, False])
def test_logprobs_are_told_to_those_who_asked(asked):
    token: dict[str, Any] = {"token": "Hé", "bytes": None, "logprob": -0.5, "top_logprobs": []}
    turn = turn_of(include=["message.output_text.logprobs"] if asked else [])
    choice = neutral.Choice(parts=(TEXT,), logprobs=json.raw({"content": [token]}))
    reply = neutral.Reply(id="up", model="asked", choices=(choice,))

    events = streamed(turn, events_of(reply))

    expected = [{**token, "bytes": [72, 195, 169]}] if asked else []
    deltas = [one for one in events if one["type"] == "response.output_text.delta"]
    assert deltas[0]["logprobs"] == expected
    assert events[-1]["response"]["output"][0]["content"][0].get("logprobs", []) == expected
    for event in events:
        JUDGE.validate_python(event)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (
            neutral.Failed(message="Slow.", kind="rate_limit_error", status=429),
            "rate_limit_exceeded",
        ),
        (neutral.Failed(message="No.", kind="invalid_request_error", status=400), "invalid_prompt"),
        (neutral.Failed(message="Oh.", kind="api_error"), "server_error"),
        (
            neutral.Failed(message="Pay.", kind="insufficient_quota", status=429),
            "insufficient_quota",
        ),
    ],
)
def test_a_failure_ends_the_response_with_what_was_done(failure, code):
    turn = turn_of()
    opened = neutral.Opened(id="up", model="asked")
    told = streamed(turn, [opened, neutral.TextDelta(text="Hel")])

    last = parsed(turn.encode_failure(failure))[0]

    assert (last["type"], last["sequence_number"]) == ("response.failed", len(told))
    response = last["response"]
    assert response["error"] == {"code": code, "message": failure.message}
    assert response["status"] == turn.frame.status == "failed"
    assert response["output"][0]["status"] == "incomplete"
    assert turn.frame.final == json.encode(response)


def test_the_quota_of_the_gateways_own_account_is_not_told_as_the_clients():
    turn = turn_of()
    failed = neutral.Failed(message="Pay.", kind="insufficient_quota", status=429)

    last = streamed(turn, [neutral.Opened(id="up", model="asked"), failed])[-1]

    assert last["response"]["error"] == {"code": "server_error", "message": ACCOUNT_EMPTY}


def test_a_failure_before_anything_was_told_is_a_whole_response_too():
    turn = turn_of()

    last = parsed(turn.encode_failure(neutral.Failed(message="Oh.", kind="api_error")))[0]

    assert (last["sequence_number"], last["response"]["model"]) == (0, "asked")
    JUDGE.validate_python(last)


def test_another_attempt_forgets_what_the_first_told():
    turn = turn_of()
    turn.encode_failure(neutral.Failed(message="Oh.", kind="api_error"))

    told = streamed(turn, [neutral.Opened(id="up", model="asked")])

    assert told[0]["sequence_number"] == 0
    assert (turn.frame.final, turn.frame.output, turn.frame.status) == (None, None, None)


def test_a_stream_whose_upstream_never_says_why_it_stopped_is_complete():
    events: list[neutral.Event] = [
        neutral.Opened(id="up", model="asked"),
        neutral.TextDelta(text="Hi"),
        neutral.Closed(),
    ]

    last = streamed(turn_of(), events)[-1]

    assert last["response"]["output"][0]["status"] == "completed"


def test_other_choices_are_not_told():
    events: list[neutral.Event] = [
        neutral.Opened(id="up", model="asked"),
        neutral.TextDelta(text="a"),
        neutral.TextDelta(text="b", choice=1),
        neutral.ChoiceEnded(stop=neutral.StopReason.LENGTH, choice=1),
        neutral.ChoiceEnded(stop=neutral.StopReason.END),
        neutral.Closed(),
    ]

    last = streamed(turn_of(), events)[-1]

    assert last["type"] == "response.completed"
    assert last["response"]["output"][0]["content"][0]["text"] == "a"


def test_ids_are_random_and_say_what_they_name():
    items = [whole(turn_of(), THINKING, TEXT, *CALLS[:2])["output"] for _ in range(2)]

    for item, prefix in zip(items[0], ("rs_", "msg_", "fc_", "ctc_"), strict=True):
        assert item["id"].startswith(prefix)
        assert len(item["id"]) == len(prefix) + 48
    ids = [item["id"] for item in itertools.chain(*items)]
    assert len(set(ids)) == len(ids)
