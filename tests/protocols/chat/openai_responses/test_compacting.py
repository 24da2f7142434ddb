"""Compaction: what is asked for a summary, what it is told as, and how it is read again."""

import json

import msgspec
from openai.types.responses import CompactedResponse

from meterway.kit.json import decode_top
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_responses import CompactTurn, opened
from meterway.protocols.chat.wording import words_of
from meterway.protocols.usage import Usage

ITEMS = [
    {"role": "user", "content": "Build it."},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "done"},
    {"role": "assistant", "content": "Built."},
]
BODY = {"model": "m", "input": ITEMS, "tools": [{"type": "function", "name": "f"}]}


def compacted(text="It is built."):
    body = decode_top(json.dumps(BODY).encode())
    turn = CompactTurn("resp_1", 7, body)
    choice = neutral.Choice(parts=(neutral.Text(text=text),))
    reply = neutral.Reply(id="x", model="m", choices=(choice,), usage=Usage(input=9, output=4))
    return turn, body, msgspec.json.decode(turn.encode_reply(reply))


def test_the_model_is_asked_for_a_summary_and_offered_no_tools():
    turn, body, _ = compacted()

    request = turn.decode_request(body)

    assert request.tools == ()
    assert request.messages[-1].role is neutral.Role.USER
    assert "summary" in words_of(request.messages[-1].parts[0].text)
    assert len(request.messages) > 3
    assert turn.through is None


def test_all_of_it_is_one_item_that_the_official_types_know():
    _, _, told = compacted()

    whole = CompactedResponse.model_validate(told)

    assert (whole.id, whole.created_at) == ("resp_1", 7)
    assert [item.type for item in whole.output] == ["compaction"]
    assert whole.usage.input_tokens == 9


def test_what_users_said_and_the_summary_are_read_again():
    _, _, told = compacted()
    item = msgspec.Raw(json.dumps(told["output"][-1]).encode())

    said, message = [msgspec.json.decode(one) for one in opened([item])]

    assert said == ITEMS[0]
    assert message["role"] == "developer"
    assert message["content"][0]["text"].endswith("It is built.")


def test_a_vendors_own_compaction_stays_as_it_is():
    items = [
        msgspec.Raw(b'{"type":"compaction","encrypted_content":"gAAA"}'),
        msgspec.Raw(b'{"type":"compaction"}'),
        msgspec.Raw(b'{"role":"user","content":"hi"}'),
    ]

    assert opened(items) == items
