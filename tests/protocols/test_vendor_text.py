"""Vendors' messages are short and hold no credentials."""

import pytest

from meterway.protocols.vendor_text import LIMIT, clean


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123DEF456ghi789",
        "sk-ant-api03-abc123-xyz_789",
        "sk-ab12***8336",
        "gsk_abc123def456ghi",
        "xai-abc123def456",
        "AIzaSyA1234567890abcdefg",
        "Bearer abcdefgh12345678",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sig",
    ],
)
def test_credentials_are_masked(secret):
    text = clean(f"Your key {secret} is not valid, get one at https://example.com/keys")

    assert secret not in text
    assert text == "Your key *** is not valid, get one at https://example.com/keys"


def test_a_key_in_an_address_is_masked():
    text = clean("GET https://example.com/v1?key=abc&alt=sse failed")

    assert text == "GET https://example.com/v1?key=***&alt=sse failed"


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4o-2024-08-06` does not exist",
        "maximum context length is 128000 tokens",
        "Invalid 'messages[0].content': expected a string",
        "skip-this and key-value pairs, key_1 too",
        "task sk is unknown",
    ],
)
def test_ordinary_words_stay(text):
    assert clean(text) == text


def test_long_text_is_cut():
    assert len(clean("x y " * 100_000)) <= LIMIT
