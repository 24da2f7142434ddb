"""How large a request is, measured without reading it as one."""

import pytest

from meterway.kit.json import decode_top, encode
from meterway.protocols.chat.sizes import Sizes, sizes_of


def _text(sizes: Sizes) -> int:
    assert sizes.text is not None
    return sizes.text


def _sizes(*contents: object, **more: object) -> Sizes:
    messages = [{"role": "user", "content": content} for content in contents]
    return sizes_of(decode_top(encode({"model": "m", "messages": messages, **more})))


def test_every_top_level_value_may_be_text():
    plain = _sizes("hello")

    assert _sizes("hello", tools=[{"name": "x" * 1000}]).text == _text(plain) + 1000 + 13
    assert sizes_of(decode_top(b'{"prompt":"hello"}')) == Sizes(7)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "image_url", "image_url": {"url": "data:;base64," + "A" * 9999}}, (1, 0, 0)),
        ({"type": "image", "source": {"type": "base64", "data": "A" * 9999}}, (1, 0, 0)),
        ({"type": "document", "source": {"type": "base64", "data": "A" * 9999}}, (0, 1, 0)),
        ({"type": "file", "file": {"file_data": "A" * 9999}}, (0, 1, 0)),
    ],
)
def test_media_is_counted_and_its_bytes_are_no_text(part, found):
    beside = {"type": "text", "text": "x" * 500}
    nested = {"type": "tool_result", "content": [part, beside]}

    for content in ([part, beside], [nested]):
        sizes = _sizes("before", content)

        assert (sizes.images, sizes.documents, sizes.sounds) == found
        assert 500 < _text(sizes) < 700


def test_sound_is_counted_and_stays_among_the_text():
    sizes = _sizes([{"type": "input_audio", "input_audio": {"data": "A" * 1000}}])

    assert (sizes.sounds, _text(sizes) > 1000) == (1, True)


@pytest.mark.parametrize(
    "content",
    [
        'data:image/png;base64,AAAA"type":"image"' + "x" * 5000,
        [{"type": "text", "text": '{"type":"image","data":"' + "x" * 5000}],
        [{"type": "tool_use", "input": {"type": "image", "data": "x" * 5000}}],
    ],
)
def test_text_that_looks_like_media_stays_text(content):
    sizes = _sizes(content)

    assert (sizes.images, _text(sizes) > 5000) == (0, True)


def test_a_type_that_is_spelled_in_escapes_is_still_that_type():
    body = rb'{"messages":[{"content":[{"ty\u0070e":"\u0069mage","source":"AAAA"}]}]}'

    assert sizes_of(decode_top(body)).images == 1


@pytest.mark.parametrize(
    ("more", "tools"),
    [
        ({"tools": [{"type": "web_search_20250305"}, {"type": "web_fetch_20250910"}]}, 2),
        ({"tools": [{"name": "own"}, {"type": "custom"}, {"type": "bash_20250124"}]}, 0),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, 0),
        ({"web_search_options": {}}, 1),
        ({"tools": None}, 0),
    ],
)
def test_tools_the_vendor_runs_are_counted(more, tools):
    assert _sizes("hello", **more).tools == tools


@pytest.mark.parametrize(
    "messages", [b"7", b'[{"content":7}]', b'[{"content":[{"type":7}]}]', b"[" * 500 + b"]" * 500]
)
def test_what_cannot_be_read_has_no_bound_of_text(messages):
    assert sizes_of(decode_top(b'{"messages":%b}' % messages)).text is None
