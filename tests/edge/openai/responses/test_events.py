"""The texts of a Responses socket, both ways."""

import msgspec
import pytest

from meterway.edge.errors import Rendered
from meterway.edge.openai.responses.events import Events, UnknownEventError, lane_of, read_wish
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top


class Heard:
    """A socket that keeps what is sent to it."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    async def send(self, text: bytes) -> None:
        self.texts.append(text)


def wish(text: bytes):
    return read_wish(decode_top(text))


def _read(text: bytes):
    body = decode_top(text)
    lane_of(body)
    return read_wish(body)


def test_a_wish_is_the_request_over_http_without_what_sockets_add():
    read = wish(
        b'{"type":"response.create","model":"m","input":"hi","store":false,"generate":false,'
        b'"stream_id":"lane","stream":false,"client_metadata":{"a":"b"},"background":false}'
    )

    assert read is not None
    assert read.generate is False
    assert {name: bytes(value) for name, value in read.body.items()} == {
        "model": b'"m"',
        "input": b'"hi"',
        "store": b"false",
        "stream": b"true",
        "client_metadata": b'{"a":"b"}',
    }


def test_what_is_not_said_has_its_default():
    read = wish(b'{"type":"response.create","generate":null,"stream_id":null}')

    assert read is not None
    assert read.generate is True


def test_that_a_response_was_read_asks_for_nothing():
    assert wish(b'{"type":"response.processed","response_id":"resp_1"}') is None


@pytest.mark.parametrize("text", [b"{}", b'{"type":"response.steer"}', b'{"type":null}'])
def test_other_types_are_refused_by_name(text):
    with pytest.raises(UnknownEventError) as caught:
        wish(text)

    assert caught.value.param == "type"
    assert "send `response.create`" in caught.value.message


@pytest.mark.parametrize(
    ("field", "param"),
    [
        (b'"background":true', "background"),
        (b'"generate":1', "generate"),
        (b'"stream_id":""', "stream_id"),
        (b'"stream_id":7', "stream_id"),
        (b'"stream_id":"' + b"x" * 65 + b'"', "stream_id"),
    ],
)
def test_a_field_that_cannot_be_served_is_named(field, param):
    with pytest.raises(InvalidRequestError) as caught:
        _read(b'{"type":"response.create",' + field + b"}")

    assert caught.value.param == param


STREAM = (
    b'event: response.created\ndata: {"type":"response.created","n":1}\n\n: keep-alive\n\n'
    b'data: {"type":"response.completed"} \n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("cut", range(len(STREAM)))
async def test_events_leave_one_by_one_wherever_the_stream_is_cut(cut):
    heard = Heard()
    events = Events(heard)  # type: ignore[arg-type]  # it sends, which is all that is asked of it

    await events({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (STREAM[:cut], STREAM[cut:], b""):
        await events({"type": "http.response.body", "body": piece, "more_body": True})

    assert [msgspec.json.decode(text) for text in heard.texts] == [
        {"type": "response.created", "n": 1},
        {"type": "response.completed"},
    ]


async def test_every_event_repeats_the_name_the_client_gave():
    heard = Heard()
    events = Events(heard, 'a "lane"')  # type: ignore[arg-type]  # as above

    await events.tell(STREAM)
    await events.fail(Rendered(400, [], b'{"error":{"code":"c"}}'), "req_1")

    told = [msgspec.json.decode(text) for text in heard.texts]
    assert [event["stream_id"] for event in told] == ['a "lane"'] * 3


async def test_an_error_has_its_status_and_what_to_do_about_it_where_either_client_looks():
    heard = Heard()
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"3")]

    await Events(heard).fail(  # type: ignore[arg-type]  # as above
        Rendered(429, headers, b'{"error":{"code":"c","message":"m","type":"t","param":null}}'),
        "req_1",
    )

    waits = {"retry-after": "3", "x-request-id": "req_1"}
    assert msgspec.json.decode(heard.texts[0]) == {
        "type": "error",
        "status": 429,
        "error": {"code": "c", "message": "m", "type": "t", "param": None, "headers": waits},
        "headers": waits,
    }
