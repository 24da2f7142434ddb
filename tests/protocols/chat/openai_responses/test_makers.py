"""What an upstream encrypted names its maker wherever the upstream does not see it."""

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.collect import collect
from meterway.protocols.chat.envelopes import label, makers_in, unlabel, unseal
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES, ResponsesTurn, frame_of
from meterway.protocols.chat.openai_responses.items import with_maker
from meterway.protocols.chat.openai_responses.stream_passing import ResponsesStreamReader
from meterway.protocols.errors import CompactedElsewhereError
from tests.fakes.clock import FakeClock
from tests.protocols.chat.openai_responses import upstream

JUDGE: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FACTS = Facts(model="asked", stream=True)
MAKER, OTHER = "maker_of-it1", "maker_of-it2"
NAMED = label(upstream.SECRET, MAKER)
THOUGHT = {**upstream.THOUGHT, "encrypted_content": NAMED}
SHORT = {"type": "compaction", "id": "cmp_1", "encrypted_content": NAMED}
ITEMS = (upstream.THOUGHT, upstream.MESSAGE, upstream.call(1))
AT_MAKERS = OPENAI_RESPONSES.at(MAKER)


def turn_of(*include: str) -> ResponsesTurn:
    body = {"model": "asked", "input": "Hi", "include": include}
    return ResponsesTurn(
        frame_of(json.decode_top(json.encode(body)), "resp_ours", 7), FakeClock()
    ).at(MAKER)


def passed(maker: str, *items: Any) -> list[Any]:
    body = json.decode_top(json.encode({"model": "gpt-5", "input": items}))
    sent: list[Any] = msgspec.json.decode(OPENAI_RESPONSES.at(maker).pass_request(body, "gpt-5"))[
        "input"
    ]
    return sent


def encrypted(items: list[Any]) -> list[str]:
    return [item["encrypted_content"] for item in items if "encrypted_content" in item]


def test_a_whole_response_names_its_maker_and_is_kept_so():
    shown, hidden = turn_of("reasoning.encrypted_content"), turn_of()

    told = shown.pass_reply(upstream.body(*ITEMS), None).body
    silent = hidden.pass_reply(upstream.body(*ITEMS), None).body

    kept = msgspec.json.decode(hidden.frame.output or b"")
    assert encrypted(msgspec.json.decode(told)["output"]) == encrypted(kept) == [NAMED]
    assert b"encrypted_content" not in silent
    assert kept[1:] == list(ITEMS[1:])


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_stream_names_its_maker_in_every_event_however_it_is_cut(size: int):
    turn = turn_of("reasoning.encrypted_content")
    reader = turn.stream_reader(FACTS, None)
    sent = upstream.whole_stream(*ITEMS)

    told = b"".join(reader.feed(sent[at : at + size]) for at in range(0, len(sent), size))
    told += reader.end()

    found = [sse.parse(block) for block in sse.Splitter().feed(told)]
    for event in found:
        assert event is not None
        JUDGE.validate_json(event.data)
    assert told.count(NAMED.encode()) == sent.count(upstream.SECRET.encode())
    assert told.count(upstream.SECRET.encode()) == told.count(NAMED.encode())
    assert encrypted(msgspec.json.decode(turn.frame.output or b"")) == [NAMED]


def test_a_cut_stream_names_the_maker_of_what_was_done_of_it():
    turn = turn_of("reasoning.encrypted_content")
    reader = turn.stream_reader(FACTS, None)
    reader.feed(upstream.stream(*upstream.opening(), *upstream.told(0, upstream.THOUGHT)))

    turn.encode_failure(neutral.Failed(message="cut", kind="server_error"))

    assert encrypted(msgspec.json.decode(turn.frame.final or b"")["output"]) == [NAMED]


@pytest.mark.parametrize("item", [{**SHORT, "encrypted_content": None}, {"type": "compaction"}])
def test_an_item_without_a_secret_gets_no_name(item: dict[str, Any]):
    raw = json.raw(item)

    assert with_maker(raw, MAKER) is raw


def test_the_maker_is_sent_its_own_as_it_made_it():
    sent = passed(MAKER, THOUGHT, upstream.MESSAGE, upstream.call(1), SHORT)

    plain = {**SHORT, "encrypted_content": upstream.SECRET}
    assert sent == [*ITEMS, plain]


def test_others_are_not_sent_it_nor_the_names_of_what_it_led_to():
    theirs = {**THOUGHT, "id": "rs_9", "encrypted_content": label("theirs", OTHER)}
    output = {"type": "web_search_call", "id": "ws_1", "status": "completed"}

    sent = passed(OTHER, THOUGHT, upstream.MESSAGE, upstream.call(1), output, theirs, ITEMS[2])

    nameless = [{k: v for k, v in one.items() if k != "id"} for one in ITEMS[1:]]
    assert sent == [*nameless, output, {**theirs, "encrypted_content": "theirs"}, ITEMS[2]]


@pytest.mark.parametrize("maker", ["", OTHER])
def test_a_compaction_of_another_is_refused_and_not_left_out(maker: str):
    with pytest.raises(CompactedElsewhereError) as caught:
        passed(maker, {"role": "user", "content": "Hi"}, SHORT)

    assert caught.value.param == "input[1]"


def test_a_value_of_another_gateways_is_that_gateways():
    nested = label(NAMED, OTHER)
    thought = {**THOUGHT, "encrypted_content": nested}

    assert encrypted(passed(OTHER, thought)) == [NAMED]
    assert encrypted(passed(MAKER, thought)) == []
    assert unlabel(nested) == (OTHER, NAMED)


def test_a_request_without_encrypted_items_is_not_decoded():
    body = json.decode_top(b'{"model":"gpt-4o","input":[3, {"a" :\t1}]}')  # no items at all

    sent = AT_MAKERS.pass_request(body, "gpt-4o")

    assert b'"input":[3, {"a" :\t1}]' in sent


def test_events_without_encrypted_items_are_forwarded_as_they_came():
    reader = ResponsesStreamReader(turn_of().frame, None, MAKER)
    blocks = sse.Splitter().feed(upstream.stream(*upstream.told(0, upstream.MESSAGE)))

    assert all(reader.feed(block) == block for block in blocks)


def test_translated_replies_name_the_maker_whole_and_streamed():
    decoder = AT_MAKERS.stream_decoder()

    whole = AT_MAKERS.decode_reply(upstream.body(*ITEMS))
    streamed = collect(decoder.feed(upstream.whole_stream(*ITEMS)) + decoder.end())

    assert isinstance(whole, neutral.Reply)
    for reply in (whole, streamed):
        thought = reply.choices[0].parts[0]
        assert isinstance(thought, neutral.Thinking)
        envelope = unseal(thought.signature or "")
        assert envelope is not None
        assert (envelope.maker, envelope.value) == (MAKER, upstream.SECRET)


@pytest.mark.parametrize(("maker", "read"), [(MAKER, [upstream.SECRET]), (OTHER, []), ("", [])])
def test_translated_requests_bring_it_to_its_maker_alone(maker: str, read: list[str]):
    asked = {"model": "gpt-5", "input": [THOUGHT, upstream.MESSAGE]}
    request = OPENAI_RESPONSES.decode_request(json.decode_top(json.encode(asked)))

    encoded = OPENAI_RESPONSES.at(maker).encode_request(request, "gpt-5")

    assert encrypted(msgspec.json.decode(encoded.body)["input"]) == read
    assert encoded.dropped == (() if read else ("input[0]",))


def test_what_is_told_again_to_a_client_has_its_name_again():
    asked = {"model": "gpt-5", "input": [THOUGHT, upstream.MESSAGE]}
    (turn,) = OPENAI_RESPONSES.decode_request(json.decode_top(json.encode(asked))).messages
    parts = tuple(part for part in turn.parts if isinstance(part, neutral.Thinking | neutral.Text))
    choice = neutral.Choice(parts=parts, stop=neutral.StopReason.END)
    client = turn_of("reasoning.encrypted_content")

    client.encode_reply(neutral.Reply(id="r", model="m", choices=(choice,)))

    assert encrypted(msgspec.json.decode(client.frame.output or b"")) == [NAMED]


def test_makers_are_told_in_the_order_they_stand_in():
    other = {**SHORT, "encrypted_content": label("x", OTHER)}
    body = json.decode_top(json.encode({"model": "m", "input": [THOUGHT, other, THOUGHT]}))

    assert list(OPENAI_RESPONSES.makers(body)) == [MAKER, OTHER, MAKER]
    assert list(OPENAI_RESPONSES.makers({})) == []
    assert list(makers_in(json.raw({"said": f'an "{NAMED}" in words'}))) == []


def test_an_event_whose_response_lacks_items_gets_none():
    bare = {key: value for key, value in upstream.response().items() if key != "output"}
    reader = ResponsesStreamReader(turn_of().frame, None, MAKER)

    told = reader.feed(upstream.stream(upstream.event("response.queued", response=bare)))

    event = sse.parse(told)
    assert event is not None
    assert "output" not in msgspec.json.decode(event.data)["response"]
