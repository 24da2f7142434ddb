"""Items and metadata as they are read, named and joined."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit.errors import InvalidRequestError
from meterway.threads import items, metadata
from meterway.threads.errors import BadItemError, BadMetadataError, TooManyItemsError
from meterway.threads.types import Item


def _encoded(value):
    return msgspec.json.encode(value)


def _read(*values):
    return [msgspec.json.decode(item.body) for item in items.read(_encoded(list(values)))]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("message", "msg_"), ("function_call", "fc_"), ("reasoning", "rs_"), ("new_thing", "item_")],
)
def test_item_without_an_id_gets_one_of_its_type(kind, prefix):
    (item,) = items.read(_encoded([{"type": kind, "role": "user", "content": "x", "id": None}]))

    assert item.id.startswith(prefix)
    assert len(item.id) == len(prefix) + 48
    assert msgspec.json.decode(item.body)["id"] == item.id
    assert item.type == kind


def test_message_is_kept_as_it_is_shown():
    found = _read(
        {"role": "user", "content": "hi", "id": "msg_1", "more": [1.0]},
        {"role": "assistant", "content": "ho", "id": "msg_2", "type": None, "status": "incomplete"},
        {"role": "user", "content": [{"type": "input_image"}], "id": "msg_3", "status": None},
    )

    output = {"type": "output_text", "text": "ho", "annotations": [], "logprobs": []}
    assert found == [
        {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
            "more": [1.0],
        },
        {
            "id": "msg_2",
            "type": "message",
            "status": "incomplete",
            "role": "assistant",
            "content": [output],
        },
        {
            "id": "msg_3",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_image"}],
        },
    ]


def _without_id(body):
    return {**msgspec.json.decode(body), "id": None}


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
@pytest.mark.parametrize("head", ['"type":"message",', ""])
@pytest.mark.parametrize("content", ['"a \\u00e9\\n \\"b\\" é"', "[]", '[{"type":"input_text"}]'])
def test_plain_message_becomes_what_any_item_becomes(role, head, content):
    raw = f'{{{head}"role":"{role}","content":{content}}}'.encode()

    body = items.new_message(raw)

    whole = items.read_one(raw, "items[0]").body
    assert body is not None
    assert _without_id(body) == _without_id(whole)
    assert list(msgspec.json.decode(body)) == list(msgspec.json.decode(whole))
    assert msgspec.json.decode(body)["id"].startswith("msg_")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"role":"user"}',
        b'{"content":"a"}',
        b'{"role":"user","content":null}',
        b'{"role":"user","content":{}}',
        b'{"role":"tool","content":"a"}',
        b'{"role":"user","content":"a","id":"msg_a"}',
        b'{"role":"user","content":"a","status":"incomplete"}',
        b'{"type":"item_reference","role":"user","content":"a"}',
        b'{"type":null,"role":"user","content":"a"}',
        b'{"id":"msg_a"}',
        b"[]",
        b"1",
        b'{"role"',
    ],
)
def test_what_is_more_than_a_plain_message_is_left_to_who_reads_it_whole(raw):
    assert items.new_message(raw) is None


def test_other_items_travel_as_they_came():
    item = {"id": "ws_1", "type": "web_search_call", "action": {"query": "x", "n": 1.50}}

    assert _read(item) == [item]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "user"}, "items[0]"),
        ({"content": "x"}, "items[0]"),
        ({"role": "user", "content": 5}, "items[0].content"),
        ({"type": 5}, "items[0].type"),
        ({"type": "x" * 65}, "items[0].type"),
        ({"type": "item_reference", "id": "msg_1"}, "items[0]"),
        ({"type": "reasoning", "id": "a\0"}, "items[0].id"),
        ({"type": "reasoning", "id": "x" * 256}, "items[0].id"),
        ("text", "items[0]"),
    ],
)
def test_item_that_cannot_be_kept_is_named(item, param):
    with pytest.raises(InvalidRequestError) as refused:
        _read(item)

    assert refused.value.param == param


def test_twenty_items_at_a_time():
    many = [{"role": "user", "content": "x"}] * 21

    assert len(_read(*many[:20])) == 20
    with pytest.raises(TooManyItemsError):
        _read(*many)
    assert len(items.read(_encoded(many), most=None)) == 21


def test_answers_item_keeps_its_name_where_it_can():
    body = b'{"type": "reasoning", "id": "rs_1"}'
    assert items.made(body) == Item("rs_1", "reasoning", body)

    for id_ in ("x" * 256, "a\0", "", 5, None):
        made = items.made(_encoded({"type": "function_call", "id": id_, "name": "f"}))
        assert made.id.startswith("fc_")
        told = {"id": made.id, "type": "function_call", "status": "completed", "name": "f"}
        assert msgspec.json.decode(made.body) == told


def test_refusals_are_of_their_own_kind():
    with pytest.raises(BadItemError):
        _read({"type": "item_reference", "id": "x"})


@given(st.lists(st.lists(st.integers() | st.text()), max_size=5))
def test_arrays_are_chained_in_their_order(arrays):
    found = items.chained([_encoded(array) for array in arrays])

    assert msgspec.json.decode(found) == [one for array in arrays for one in array]


def test_metadata_of_a_request():
    assert metadata.read(None) == {}
    assert metadata.read(b"null") == {}
    assert metadata.read(b'{"a":"b"}') == {"a": "b"}
    most = {f"k{i}".ljust(64, "x"): "v" * 512 for i in range(16)}
    assert metadata.checked(most) == most


@pytest.mark.parametrize(
    "given",
    [
        {f"k{i}": "" for i in range(17)},
        {"": "x"},
        {"x" * 65: "x"},
        {"x": "x" * 513},
        {"x": "\0"},
        {"\0": "x"},
    ],
)
def test_metadata_that_cannot_be_kept_are_refused(given):
    with pytest.raises(BadMetadataError) as refused:
        metadata.checked(given)

    assert refused.value.param == "metadata"


@pytest.mark.parametrize("raw", [b"5", b'{"a":5}', b"[]"])
def test_metadata_that_are_no_texts_by_name_are_refused(raw):
    with pytest.raises(InvalidRequestError, match="metadata"):
        metadata.read(raw)
