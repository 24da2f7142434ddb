"""Reading messages of the usual shapes in one pass says what the thorough reading says."""

from typing import Any

import msgspec
import pytest

from meterway.protocols.chat.anthropic_messages.content_in import decode_messages
from meterway.protocols.chat.anthropic_messages.usual_in import read_usual

MARK = {"type": "ephemeral", "ttl": "1h"}
TEXT = {"type": "text", "text": "Grüße\n\u2028"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": [1, "é"]}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}


def raw_messages(*messages: tuple[str, Any]) -> msgspec.Raw:
    listed = [{"role": role, "content": content} for role, content in messages]
    return msgspec.Raw(msgspec.json.encode(listed))


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("user", "hello"),
        ("user", ""),
        ("assistant", "hello"),
        ("user", []),
        ("user", [TEXT, TEXT]),
        ("user", [TEXT | {"cache_control": MARK, "newer": 1}]),
        ("user", [TEXT | {"cache_control": {"type": "ephemeral"}}]),
        ("assistant", [TEXT, CALL, CALL | {"id": "toolu_2", "cache_control": MARK}]),
        ("assistant", [CALL | {"input": {}}]),
        ("assistant", [{"type": "thinking", "thinking": "hm", "signature": "s"}, TEXT]),
        ("assistant", [{"type": "thinking", "thinking": "hm", "signature": ""}]),
        ("assistant", [{"type": "thinking", "thinking": "", "signature": None}]),
        ("assistant", [{"type": "redacted_thinking", "data": "x"}]),
        ("user", [TEXT, RESULT, TEXT, RESULT | {"tool_use_id": "toolu_2"}]),
        ("user", [RESULT | {"is_error": True, "cache_control": MARK}]),
        ("user", [RESULT | {"content": ""}]),
        ("user", [RESULT | {"content": None}]),
        ("user", [RESULT | {"content": [TEXT, TEXT | {"cache_control": MARK}]}]),
        ("user", [{"type": "tool_result", "tool_use_id": "toolu_1"}]),
    ],
)
def test_usual_messages_are_read_as_the_thorough_reading_reads_them(
    role: str, content: object
) -> None:
    raw = raw_messages(("user", "first"), (role, content))

    read = read_usual(raw)

    assert read is not None
    assert read == decode_messages(raw, {})


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("system", "a turn between others"),
        ("user", None),
        ("user", [TEXT | {"text": 7}]),
        ("user", [{"type": "text"}]),
        ("user", [TEXT | {"citations": [{"type": "char_location"}]}]),
        ("user", [CALL]),
        ("user", [{"type": "thinking", "thinking": "hm"}]),
        ("user", [{"type": "image", "source": {"type": "url", "url": "https://e.test/i.png"}}]),
        ("user", [{"type": "search_result", "text": 5}]),
        ("user", [RESULT | {"content": [{"type": "image"}]}]),
        ("user", [RESULT | {"content": [CALL]}]),
        ("assistant", [RESULT]),
        ("assistant", [CALL | {"input": "{}"}]),
        ("assistant", [CALL | {"input": None}]),
        ("assistant", [CALL | {"name": None}]),
        ("assistant", [{"type": "server_tool_use", "id": "a", "name": "b", "input": {}}]),
    ],
)
def test_whatever_is_out_of_the_usual_is_left_to_the_thorough_reading(
    role: str, content: object
) -> None:
    raw = raw_messages(("user", "first"), (role, content))

    read = read_usual(raw)

    assert read is None


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'"hi"', b'[{"role":"user","content":"\xff"}]'])
def test_messages_that_are_none_are_left_to_the_thorough_reading(raw: bytes) -> None:
    read = read_usual(msgspec.Raw(raw))

    assert read is None
