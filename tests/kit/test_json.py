"""JSON at the border."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top, encode


def test_a_doubled_key_keeps_its_last_value_alone():
    top = decode_top(b'{"model":"cheap","model":"dear"}')

    assert encode(top) == b'{"model":"dear"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\xff"}',
        b'{"a":{"b":["\xc3("]}}',
        b'{"\xc3(":1}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":"\u00e9"}'.encode("utf-16"),
        b'{"a":"\xe9"}',
    ],
)
def test_what_is_not_utf_8_is_refused_however_deep_it_stands(body):
    with pytest.raises(InvalidRequestError, match="not a valid JSON object"):
        decode_top(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b"{", b'{"a":}', b"[" * 100_000])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(InvalidRequestError):
        decode_top(body)


def test_text_in_utf_8_travels_untouched():
    body = '{"a":"h\u00e9llo \U0001f389","b":["\u65e5\u672c"]}'.encode()

    assert encode(decode_top(body)) == body
