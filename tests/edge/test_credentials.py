"""Every form in which clients send a key, and which one counts when several came."""

import pytest

from meterway.edge.credentials import token_of

KEY = "sk-one"


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer   {KEY} "),
        ("authorization", KEY),
        ("x-api-key", KEY),
        ("x-api-key", f" {KEY} "),
        ("api-key", KEY),
        ("x-goog-api-key", KEY),
    ],
)
def test_each_form_of_a_key_is_found(header):
    name, value = header

    assert token_of([(b"host", b"x"), (name.encode(), value.encode())], b"") == KEY


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Basic dXNlcjpwYXNz")],
        [("x-api-key", "")],
        [("cookie", f"key={KEY}")],
    ],
)
def test_nothing_that_is_no_key_is_taken_for_one(headers):
    pairs = [(name.encode(), value.encode()) for name, value in headers]

    assert token_of(pairs, b"") is None


def test_the_query_counts_on_google_shaped_routes_alone():
    assert token_of([], b"alt=sse&key=sk%2Done", google=True) == KEY
    assert token_of([], b"key=sk-one") is None
    assert token_of([], b"monkey=sk-one&key=", google=True) is None


@pytest.mark.parametrize(
    ("headers", "query", "used"),
    [
        ([("x-api-key", "b"), ("authorization", "Bearer a")], b"key=e", "a"),
        ([("api-key", "c"), ("x-api-key", "b")], b"key=e", "b"),
        ([("x-goog-api-key", "d"), ("api-key", "c")], b"key=e", "c"),
        ([("x-goog-api-key", "d")], b"key=e", "d"),
        ([("authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", "b")], b"", "b"),
        ([("authorization", "Bearer a"), ("authorization", "Bearer z")], b"", "a"),
        ([("x-api-key", "b"), ("x-api-key", "z")], b"", "b"),
    ],
)
def test_of_several_keys_the_documented_one_is_used(headers, query, used):
    pairs = [(name.encode(), value.encode()) for name, value in headers]

    assert token_of(pairs, query, google=True) == used


def test_bytes_beyond_ascii_are_a_key_like_any_other():
    assert token_of([(b"x-api-key", b"\xff\xfe")], b"") == "\xff\xfe"
