"""Words that nobody has read yet say what they would say decoded."""

import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.wording import joined, unread, words_of


@pytest.mark.parametrize("text", ["", "plain", 'quo"te\\', "Grüße\n\u2028\U0001f600"])
def test_unread_words_say_what_their_json_says(text: str) -> None:
    wording = unread(msgspec.Raw(msgspec.json.encode(text)))

    assert wording is not None
    assert words_of(wording) == text
    assert bool(wording) is bool(text)


@pytest.mark.parametrize("json", [b"", b"null", b"7", b'["a"]', b'{"a":"b"}'])
def test_what_is_no_string_is_no_wording(json: bytes) -> None:
    assert unread(msgspec.Raw(json)) is None


def test_one_wording_stays_unread_when_joined_and_several_are_read() -> None:
    raw = msgspec.Raw(b'"a\\n"')

    assert joined([raw], "-") is raw
    assert joined([raw, "b"], "-") == "a\n-b"
    assert joined([], "-") == ""


def test_parts_that_say_the_same_are_equal_read_or_unread() -> None:
    raw = msgspec.Raw(b'"\\u0061"')

    assert neutral.Text(text=raw) == neutral.Text(text="a")
    assert hash(neutral.Text(text=raw)) == hash(neutral.Text(text="a"))
    assert neutral.Text(text=raw, path="x") != neutral.Text(text="a")
    tool = neutral.FunctionTool(name="f", description=raw)
    assert tool == neutral.FunctionTool(name="f", description="a")
    assert hash(tool) == hash(neutral.FunctionTool(name="f", description="a"))
    assert tool != neutral.FunctionTool(name="f")
