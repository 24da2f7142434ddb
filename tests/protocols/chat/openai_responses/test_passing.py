"""Requests and responses that pass: asked without state, told under the client's own frame."""

from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from meterway.kit import json, sse
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.envelopes import Envelope, seal
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES, ResponsesTurn, frame_of
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import ACCOUNT_EMPTY, BadReplyError
from meterway.protocols.usage import Usage
from tests.fakes.clock import FakeClock
from tests.protocols.chat.openai_responses import upstream

JUDGE: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FACTS = Facts(model="asked", stream=True)
ENCRYPTED = "reasoning.encrypted_content"
examples = pytest.mark.parametrize("items", upstream.EXAMPLES.values(), ids=upstream.EXAMPLES)


def turn_of(**fields: Any) -> ResponsesTurn:
    body = {"model": "asked", "input": "Hi", "previous_response_id": "resp_before", **fields}
    return ResponsesTurn(frame_of(json.decode_top(json.encode(body)), "resp_ours", 7), FakeClock())


def passed(model: str = "gpt-5", **fields: Any) -> dict[str, Any]:
    body = json.decode_top(json.encode({"model": "asked", **fields}))
    sent: dict[str, Any] = msgspec.json.decode(OPENAI_RESPONSES.pass_request(body, model))
    return sent


def read(turn: ResponsesTurn, *chunks: bytes, model: str | None = None) -> Any:
    reader = turn.stream_reader(FACTS, model)
    told = b"".join(reader.feed(chunk) for chunk in chunks) + reader.end()
    return reader, told


def parsed(stream: bytes) -> list[dict[str, Any]]:
    found = [sse.parse(block) for block in sse.Splitter().feed(stream)]
    return [msgspec.json.decode(event.data) for event in found if event is not None]


def test_an_upstream_is_asked_without_state_and_everything_else_travels():
    body = (
        b'{"model":"asked","store":true,"previous_response_id":"resp_1","conversation":"conv_1",'
        b'"background":true,"input":"Hi","tools":[{"type" : "web_search"}],"odd":{"a" :\t1}}'
    )

    sent = OPENAI_RESPONSES.pass_request(json.decode_top(body), "gpt-4o")

    assert sent == (
        b'{"model":"gpt-4o","store":false,"input":"Hi","tools":[{"type" : "web_search"}],'
        b'"odd":{"a" :\t1}}'
    )


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [
        ("gpt-5", None, [ENCRYPTED]),
        ("gpt-5", ["x"], ["x", ENCRYPTED]),
        ("gpt-5", [ENCRYPTED], [ENCRYPTED]),
        ("gpt-4o", ["x"], ["x"]),
        ("llama", None, None),
    ],
)
def test_encrypted_reasoning_is_asked_of_models_that_have_it(model, given, sent):
    fields = {} if given is None else {"include": given}

    assert passed(model, **fields).get("include") == sent


def test_the_input_is_rid_of_what_its_vendor_cannot_look_up():
    user = {"type": "message", "id": "msg_1", "role": "user", "content": "Hi"}
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    open_ = {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"text": "Hm"}]}
    unsigned = {"type": "reasoning", "id": "rs_3", "summary": [{"text": "Hm"}]}
    sealed = seal(Envelope(Dialect.ANTHROPIC_MESSAGES, "signature", "c2ln"))
    foreign = {**own, "encrypted_content": sealed}
    output = {"type": "function_call_output", "id": "fc_9", "call_id": "c", "output": "x"}
    odd = {"type": "apply_patch_call_output", "id": "item_9", "call_id": "c", "status": "completed"}
    call = upstream.call(1)

    sent = passed(input=[user, own, open_, unsigned, foreign, call, output, odd])["input"]

    without = [{key: value for key, value in one.items() if key != "id"} for one in (output, odd)]
    assert sent == [user, own, open_, call, *without]


def test_encrypted_reasoning_that_is_no_string_is_named():
    with pytest.raises(InvalidRequestError) as caught:
        passed(input=[{"type": "reasoning", "summary": [], "encrypted_content": 3}])

    assert caught.value.param == "input"


def test_a_response_passes_under_the_frame_of_its_request():
    turn = turn_of(store=True, conversation="conv_1", metadata={"team": "a"})

    seen = turn.pass_reply(upstream.body(upstream.THOUGHT, upstream.MESSAGE), "asked")

    told = msgspec.json.decode(seen.body)
    assert (told["id"], told["created_at"], told["model"]) == ("resp_ours", 7, "asked")
    assert told["previous_response_id"] == "resp_before"
    assert told["conversation"] == {"id": "conv_1"}
    assert (told["store"], told["background"]) == (True, False)
    assert told["metadata"] == {"team": "a"}
    assert told["completed_at"] == 1741476778
    assert told["max_tool_calls"] is None
    assert told["output"] == [
        {key: value for key, value in upstream.THOUGHT.items() if key != "encrypted_content"},
        upstream.MESSAGE,
    ]
    Response.model_validate(told)
    assert seen.usage == Usage(input=17, cache_read=16, cache_write_5m=4, output=6, reasoning=5)
    assert (seen.service_tier, seen.failure) == ("default", None)
    frame = turn.frame
    assert (frame.final, frame.status) == (seen.body, "completed")
    assert msgspec.json.decode(frame.output or b"") == [upstream.THOUGHT, upstream.MESSAGE]


def test_the_upstreams_own_name_of_the_model_stays_where_no_other_was_asked():
    told = msgspec.json.decode(turn_of().pass_reply(upstream.body(), None).body)

    assert told["model"] == "gpt-5-2025-08-07"


def test_encrypted_reasoning_is_shown_to_those_who_asked():
    seen = turn_of(include=[ENCRYPTED]).pass_reply(upstream.body(upstream.THOUGHT), None)

    assert msgspec.json.decode(seen.body)["output"] == [upstream.THOUGHT]


@pytest.mark.parametrize(
    "body",
    [
        upstream.body(status="failed", error={"code": "server_error", "message": "Sorry."}),
        b'{"error":{"message":"Sorry.","code":"server_error"}}',
    ],
)
def test_a_failure_in_place_of_a_response_is_one(body):
    turn = turn_of()

    seen = turn.pass_reply(body, None)

    assert seen.failure is not None
    assert (seen.failure.message, seen.failure.code) == ("Sorry.", "server_error")
    assert turn.frame.final is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":[]}'])
def test_what_is_no_response_is_refused(body):
    with pytest.raises(BadReplyError):
        turn_of().pass_reply(body, None)


def test_usage_of_an_unknown_shape_counts_as_none():
    seen = turn_of().pass_reply(upstream.body(upstream.MESSAGE, usage="much"), None)

    assert seen.usage is None


@examples
def test_a_stream_passes_under_the_frame_and_leaves_the_whole_response(items):
    turn, stream = turn_of(), upstream.whole_stream(*items)
    whole = turn_of()
    whole.pass_reply(upstream.body(*items), "asked")

    reader, told = read(turn, stream, model="asked")

    events, sent = parsed(told), parsed(stream)
    assert [event["type"] for event in events] == [event["type"] for event in sent]
    assert upstream.SECRET not in told.decode()
    for event in events:
        JUDGE.validate_python(event)
        if "response" in event:
            assert (event["response"]["id"], event["response"]["model"]) == ("resp_ours", "asked")
    assert reader.closed
    assert reader.usage == Usage(input=17, cache_read=16, cache_write_5m=4, output=6, reasoning=5)
    assert reader.service_tier == "default"
    assert (turn.frame.final, turn.frame.output) == (whole.frame.final, whole.frame.output)
    assert msgspec.json.decode(turn.frame.final or b"") == events[-1]["response"]


@examples
def test_a_cut_at_every_offset_passes_the_same_bytes(items):
    stream = upstream.whole_stream(*items)
    _, whole = read(turn_of(), stream)

    for place in range(len(stream) + 1):
        assert read(turn_of(), stream[:place], stream[place:])[1] == whole


def test_events_within_pass_byte_for_byte():
    deltas = upstream.stream(*upstream.told(0, upstream.MESSAGE))

    reader, told = read(turn_of(), deltas)

    assert told == deltas
    assert reader.output_bytes == len("Hello, wörld".encode())
    assert not reader.closed


def test_comments_and_data_that_is_no_event_pass_too():
    odd = b': hello\n\ndata: {nonsense}\n\ndata: {"type":"response.new","x":1}\n\n'

    assert read(turn_of(), odd)[1] == odd


def test_encrypted_reasoning_passes_to_those_who_asked():
    stream = upstream.whole_stream(upstream.THOUGHT)

    _, told = read(turn_of(include=[ENCRYPTED]), stream)

    assert told.count(upstream.SECRET.encode()) == stream.count(upstream.SECRET.encode())


def test_items_the_end_leaves_out_are_those_that_were_done():
    last = upstream.event("response.completed", response=upstream.response())
    stream = upstream.stream(*upstream.opening(), *upstream.told(0, upstream.THOUGHT), last)
    turn = turn_of()

    _, told = read(turn, stream)

    assert msgspec.json.decode(turn.frame.output or b"") == [upstream.THOUGHT]
    assert len(parsed(told)[-1]["response"]["output"]) == 1


def test_an_incomplete_response_ends_the_stream():
    turn = turn_of()
    stream = upstream.whole_stream(
        upstream.MESSAGE, end="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )

    reader, _ = read(turn, stream)

    assert (reader.closed, turn.frame.status) == (True, "incomplete")


def test_a_failed_response_is_a_failure():
    turn = turn_of()
    stream = upstream.whole_stream(
        end="failed", error={"code": "rate_limit_exceeded", "message": "Slow."}
    )

    reader, told = read(turn, stream)

    assert reader.failure is not None
    assert (reader.failure.status, reader.closed) == (429, False)
    assert parsed(told)[-1]["response"]["id"] == "resp_ours"
    assert turn.frame.status == "failed"


@pytest.mark.parametrize(
    "event",
    [
        upstream.event("error", code="server_error", message="Sorry.", param=None),
        upstream.event("error", error={"code": "server_error", "message": "Sorry."}),
    ],
)
def test_a_bare_error_becomes_the_failure_agents_understand(event):
    turn = turn_of()
    begun = [*upstream.opening(), *upstream.told(0, upstream.MESSAGE), event]

    reader, told = read(turn, upstream.stream(*begun, *upstream.told(1, upstream.MESSAGE)))

    events = parsed(told)
    assert len(events) == len(begun)
    last = events[-1]
    assert (last["type"], last["sequence_number"]) == ("response.failed", len(begun))
    assert last["response"]["error"] == {"code": "server_error", "message": "Sorry."}
    assert last["response"]["output"] == [upstream.MESSAGE]
    assert reader.failure is not None
    JUDGE.validate_python(last)


@pytest.mark.parametrize(
    "end",
    [
        upstream.event("error", code="insufficient_quota", message="Pay."),
        upstream.event(
            "response.failed",
            response=upstream.response(
                status="failed", error={"code": "insufficient_quota", "message": "Pay."}
            ),
        ),
    ],
    ids=["error", "failed"],
)
def test_the_quota_of_the_gateways_own_account_is_not_told_as_the_clients(end):
    turn = turn_of()
    begun = [*upstream.opening(), *upstream.told(0, upstream.MESSAGE)]

    reader, told = read(turn, upstream.stream(*begun, end))

    last = parsed(told)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": ACCOUNT_EMPTY}
    assert last["response"]["output"] == [upstream.MESSAGE]
    assert reader.failure is not None
    assert reader.failure.code == "insufficient_quota"


def test_a_cut_stream_is_told_to_have_failed():
    turn = turn_of()
    begun = [*upstream.opening(), *upstream.told(0, upstream.MESSAGE)]
    reader, _ = read(turn, upstream.stream(*begun))
    failure = neutral.Failed(message="Cut.", kind="api_error")

    last = parsed(turn.encode_failure(failure))[0]

    assert not reader.closed
    assert (last["type"], last["sequence_number"]) == ("response.failed", len(begun))
    assert turn.frame.final == json.encode(last["response"])


def test_nothing_passes_after_the_end():
    stream = upstream.whole_stream(upstream.MESSAGE)

    _, told = read(turn_of(), stream + b"data: [DONE]\n\n" + stream)

    assert told == read(turn_of(), stream)[1]
