"""Compaction: what is asked for a summary, what it is told as, and how it is read again."""

import json

import msgspec

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


def test_what_users_said_stays_and_the_rest_is_one_item():
    _, _, told = compacted()

    assert told["id"], told["created_at"] == ("resp_1", 7)
    assert told["output"][0] == ITEMS[0]
    assert [item.get("type") for item in told["output"][1:]] == ["compaction"]
    assert told["usage"]["input_tokens"] == 9


def test_the_summary_is_read_again_as_a_developers_word():
    _, _, told = compacted()
    item = msgspec.Raw(json.dumps(told["output"][-1]).encode())

    (message,) = [msgspec.json.decode(one) for one in opened([item])]

    assert message["role"] == "developer"
    assert message["content"][0]["text"].endswith("It is built.")


def test_a_vendors_own_compaction_stays_as_it_is():
    items = [
        msgspec.Raw(b'{"type":"compaction","encrypted_content":"gAAA"}'),
        msgspec.Raw(b'{"type":"compaction"}'),
        msgspec.Raw(b'{"role":"user","content":"hi"}'),
    ]

    assert opened(items) == items
