"""The vendor's words survive; credentials and pages of markup do not."""

import pytest

from meterway.protocols.chat.vendor_errors import vendor_message
from meterway.protocols.vendor_text import LIMIT

HTML = {"content-type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"Said.","type":"x","code":5}}',
        b'{"type":"error","error":{"type":"x","message":"Said."}}',
        b'{"error":"Said."}',
        b'{"message":"Said."}',
        b'{"detail":"Said."}',
        b'{"detail":[{"loc":["body"],"msg":"Said."}]}',
        b'[{"error":{"message":"Said."}}]',
        b'{"error_msg":"Said."}',
        b'"Said."',
        b"  Said.\n",
    ],
)
def test_the_message_is_found_wherever_it_stands(body):
    assert vendor_message(400, {}, body) == "Said."


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"", {}), (b"{}", {}), (b"null", {}), (b"<html>Sorry</html>", HTML), (b'{"error":{}}', {})],
)
def test_an_answer_without_words_is_its_status_in_words(body, headers):
    assert vendor_message(502, headers, body) == "The upstream answered 502 Bad Gateway."


def test_an_unknown_status_needs_no_phrase():
    assert vendor_message(529, {}, b"") == "The upstream answered 529."


def test_credentials_in_it_are_masked():
    body = b'{"error":{"message":"Incorrect API key provided: sk-ant-api03-abcdefGHI. Sorry."}}'

    assert "abcdef" not in vendor_message(401, {}, body)
    assert vendor_message(401, {}, body).endswith("Sorry.")


def test_a_body_too_deep_to_read_is_still_an_answer():
    assert len(vendor_message(500, {}, b"[" * 100_000)) <= LIMIT


def test_a_long_message_is_cut():
    assert len(vendor_message(400, {}, b"a " * 10_000)) <= LIMIT
