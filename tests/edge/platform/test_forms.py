"""Bodies as JSON and as forms: what is read, and what is refused with a reason."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.edge.platform.forms import BadBodyError, BadFieldError, query_fields, read_fields
from meterway.kit.errors import InvalidRequestError

FORM, MULTI = "application/x-www-form-urlencoded", "multipart/form-data; boundary=xyz"


def multipart(*parts: bytes, end: bytes = b"--xyz--\r\n") -> bytes:
    return b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + end


def part(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"a": "x y", "n": 5, "b": true}', "application/json"),
        (b' {"a": "x y", "n": "5", "b": "true"}', None),
        (b'{"a": "x y", "n": 5, "b": 1}', "text/plain"),
        (b"a=x+y&n=5&b=true", FORM),
        (b"a=x%20y&n=5&b=1", FORM.upper() + "; charset=utf-8"),
        (multipart(part("a", "x y"), part("n", "5"), part("b", "TRUE")), MULTI),
        (
            multipart(part("a", "x y"), part("n", "5"), part("b", "1")),
            MULTI.replace("xyz", '"xyz"'),
        ),
    ],
)
def test_every_encoding_gives_the_same_fields(body, kind):
    fields = read_fields(body, kind)

    assert (fields.text("a"), fields.whole("n", 1, 9), fields.flag("b")) == ("x y", 5, True)


@pytest.mark.parametrize("kind", [None, "application/json", FORM, MULTI])
def test_an_empty_body_has_no_fields(kind):
    fields = read_fields(b"", kind)

    with pytest.raises(BadFieldError, match="`key` is required"):
        fields.require("key")


def test_an_empty_field_of_a_form_is_absent():
    fields = read_fields(b"a=&b=1", FORM)

    assert (fields.text("a"), fields.text("b")) == (None, "1")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", None),
        (b'"x"', None),
        (b"{", None),
        (b'{"a": 1e999999999999999999999}', None),
        (b'{"a": "\xff"}', None),
        (b'{"a":' * 100_000, None),
        (b"a=1", "application/json"),
        (b"a=%ff", FORM),
        (b"a=\xff", FORM),
        (b"&".join(b"f%d=1" % i for i in range(101)), FORM),
        (multipart(part("a", "1")), "multipart/form-data"),
        (multipart(part("a", "1"), end=b""), MULTI),
        (multipart(*[part(f"f{i}", "1") for i in range(101)]), MULTI),
        (multipart(b"no head"), MULTI),
        (multipart(b"X: y\r\n\r\nv"), MULTI),
        (multipart(b'Content-Disposition: form-data; name="f"; filename="x"\r\n\r\nv'), MULTI),
        (
            multipart(b"Content-Disposition: form-data; name=\"f\"; filename*=utf-8''x\r\n\r\nv"),
            MULTI,
        ),
        (multipart(b'Content-Disposition: form-data; name="a"\r\n\r\n\xff'), MULTI),
        (b"nothing", MULTI),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body, kind):
    with pytest.raises(BadBodyError) as caught:
        read_fields(body, kind)

    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("body", "kind"), [(b"a=1&a=2", FORM), (multipart(part("a", "1"), part("a", "2")), MULTI)]
)
def test_a_field_that_stands_twice_in_a_form_is_refused(body, kind):
    with pytest.raises(BadFieldError, match="twice"):
        read_fields(body, kind)


def test_values_of_a_multipart_form_are_taken_as_they_are():
    fields = read_fields(multipart(part('a"b'.replace('"', '\\"'), "--xy\r\n\r\n--x")), MULTI)

    assert fields.text('a"b') == "--xy\r\n\r\n--x"


@pytest.mark.parametrize(
    "value", ["0", "10", "-1", "1.5", "one", "", " 1", "٣", True, 2.5, "9" * 99]
)
def test_a_number_out_of_bounds_is_refused(value):
    fields = read_fields(msgspec.json.encode({"n": value}), None)

    with pytest.raises(BadFieldError, match="whole number from 1 to 9"):
        fields.whole("n", 1, 9)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1970-01-02", 1),
        ("1970-01-02T00:00:00Z", 1),
        ("1970-01-02 07:59:59", 0),
        ("1969-12-31", -1),
    ],
)
def test_a_date_is_a_day_of_utc(text, day):
    assert read_fields(msgspec.json.encode({"d": text}), None).day("d") == day


@pytest.mark.parametrize(
    ("text", "day"), [("1970-01-02", 1), ("1970-01-02T00:00:00Z", 1), ("1970-01-02T00:00:01Z", 2)]
)
def test_the_end_of_a_span_takes_the_day_it_begins_in_along(text, day):
    fields = read_fields(msgspec.json.encode({"d": text}), None)

    assert fields.day("d", up=True) == day


def test_a_query_is_read_as_a_form():
    fields = query_fields(b"model=gpt-4o%2Fx&from=2026-01-01T00:00:00%2B08:00")

    assert (fields.text("model"), fields.day("from")) == ("gpt-4o/x", 20_453)


@given(st.binary(max_size=200), st.sampled_from([None, "application/json", FORM, MULTI]))
def test_no_body_breaks_the_reading(body, kind):
    with suppress(InvalidRequestError):
        fields = read_fields(body, kind)
        for read in (fields.text, fields.flag, fields.names, fields.moment, fields.day):
            read("a")
        fields.amount("a", 250_000)


@given(
    st.sampled_from(["text", "flag", "names", "moment", "day", "amount", "whole"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_no_value_breaks_the_reading(kind, value):
    try:
        body = msgspec.json.encode({"a": value})
    except UnicodeEncodeError:
        return
    more = {"amount": (250_000,), "whole": (0, 10)}.get(kind, ())
    with suppress(InvalidRequestError):
        getattr(read_fields(body, None), kind)("a", *more)
