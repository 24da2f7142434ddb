"""The items of an input, as the keeper of state works with them."""

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.openai_responses import (
    conversation_id,
    frame_of,
    input_items,
    listed_items,
    output_items,
    reference_of,
    with_items,
)
from meterway.threads import items as items_
from tests.protocols.chat.openai_responses import upstream

JUDGE: TypeAdapter[Any] = TypeAdapter(ResponseItem)


def body(**fields: Any) -> json.RawObject:
    return json.decode_top(json.encode(fields))


def kept(item: Any) -> msgspec.Raw:
    return msgspec.Raw(items_.read_one(json.raw(item), "item").body)


def plain(items: list[msgspec.Raw]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(item) for item in items]


def test_a_string_is_one_message():
    assert plain(input_items(body(input="Hi"))) == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    ]


def test_items_stay_the_json_they_are():
    assert input_items(json.decode_top(b'{"input":[{"role" : "user","content":"x"}]}')) == [
        msgspec.Raw(b'{"role" : "user","content":"x"}')
    ]
    assert input_items(body()) == []


@pytest.mark.parametrize(("told", "param"), [(3, "input"), ([{"role": "user"}, 3], "input[1]")])
def test_what_is_no_item_is_named(told, param):
    with pytest.raises(InvalidRequestError) as caught:
        input_items(body(input=told))

    assert caught.value.param == param


def test_a_reference_names_the_item_it_stands_for():
    assert reference_of(json.raw({"type": "item_reference", "id": "msg_1"})) == "msg_1"
    assert reference_of(json.raw({"id": "msg_1"})) == "msg_1"
    assert reference_of(json.raw({"id": "msg_1", "role": "user", "content": ""})) is None
    assert reference_of(json.raw(upstream.MESSAGE)) is None


def test_history_stands_in_front_of_what_is_new():
    old = output_items(json.encode([upstream.MESSAGE]))
    request = body(model="m", input="Hi")

    told = with_items(request, [*old, *input_items(request)])

    assert plain(input_items(told))[0] == upstream.MESSAGE
    assert len(input_items(told)) == 2
    assert told["model"] == request["model"]


def test_the_official_sdk_reads_listed_items():
    items = [
        {"role": "user", "content": "Hi"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "https://x.y/z.png"},
                {"type": "input_file", "file_id": "file-1"},
            ],
        },
        {"role": "assistant", "content": "Hello"},
        upstream.MESSAGE,
        upstream.THOUGHT,
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_image", "file_id": "file-1"}],
        },
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
    ]

    listed = plain(listed_items([kept(item) for item in items]))

    for item in listed:
        JUDGE.validate_python(item)
    assert "encrypted_content" not in listed[4]
    assert all(item["status"] == "completed" for item in listed if item["type"] != "reasoning")


def test_encrypted_reasoning_is_listed_for_those_who_ask():
    listed = listed_items([json.raw(upstream.THOUGHT)], encrypted=True)

    assert plain(listed) == [upstream.THOUGHT]


@pytest.mark.parametrize(
    ("conversation", "named"), [("conv_1", "conv_1"), ({"id": "conv_1"}, "conv_1"), (None, None)]
)
def test_a_conversation_is_named_by_a_string_or_an_object(conversation, named):
    assert conversation_id(body(conversation=conversation)) == named
    told = frame_of(body(conversation=conversation), "resp_1", 1).echo["conversation"]
    assert msgspec.json.decode(told) == (None if named is None else {"id": named})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": 3}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"include": "all"}, "include"),
        ({"reasoning": "high"}, "reasoning"),
        ({"text": []}, "text"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function", "name": 1}]}, "tools[0].name"),
    ],
)
def test_what_a_frame_cannot_hold_is_named(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        frame_of(body(**fields), "resp_1", 1)

    assert caught.value.param == param
