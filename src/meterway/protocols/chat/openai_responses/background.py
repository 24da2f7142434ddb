"""A response that is made in the background: the object before its end, and its events numbered.

Follows https://platform.openai.com/docs/guides/background and
https://platform.openai.com/docs/api-reference/responses-streaming: such a stream begins with
`response.created` and `response.queued`, and goes on as any other.
"""

from typing import Final

import msgspec

from meterway.kit import json, sse
from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.openai_responses.response import Ending, describe

OPENING: Final = 2
"""How many events tell that a response is queued; those of its making are numbered from here."""

_CREATED = "response.created"
_NUMBER = "sequence_number"


class _Kind(msgspec.Struct):
    type: str = ""


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_object = msgspec.json.Decoder(RawObject).decode
_encode = msgspec.json.Encoder().encode


def queued(frame: Frame) -> bytes:
    """Return the response object while nobody works on it."""
    ending = Ending()
    ending.status = "queued"
    return json.encode(
        describe(frame, ending, model=frame.model, output=[], usage=None, service_tier=None)
    )


def opening(response: bytes) -> bytes:
    """Return the first events of a stream, `OPENING` of them, of a response that is queued."""
    kinds = (_CREATED, "response.queued")
    return b"".join([event_of(kind, number, response) for number, kind in enumerate(kinds)])


def event_of(kind: str, number: int, response: bytes) -> bytes:
    """Return an event that shows a whole response."""
    told = {"type": kind, _NUMBER: number, "response": msgspec.Raw(response)}
    return sse.render(json.encode(told), kind.encode())


def error_event(code: str, message: str, number: int) -> bytes:
    """Return the event that tells why a stream ends before its response did."""
    told = {"type": "error", _NUMBER: number, "code": code, "message": message, "param": None}
    return sse.render(json.encode(told), b"error")


def with_status(response: bytes, status: str) -> bytes:
    """Return a response object that has got another status and nothing else."""
    return json.encode({**_decode_object(response), "status": status})


def failed(response: bytes, message: str) -> bytes:
    """Return a response object that the gateway could not make."""
    error = {"code": "server_error", "message": message}
    return json.encode({**_decode_object(response), "status": "failed", "error": error})


class Numbering:
    """Numbers the events of one run from `next` on, whoever told them and however they were cut.

    What is no event of a response is left out, and so is `response.created`: it was told when the
    response was queued.
    """

    def __init__(self, first: int) -> None:
        self.next = first
        self._splitter = sse.Splitter()

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the stream; return the events that are whole."""
        return b"".join([self._numbered(block) for block in self._splitter.feed(chunk)])

    def _numbered(self, block: bytes) -> bytes:
        event = sse.parse(block)
        if event is None:
            return b""
        try:
            fields = _decode_object(event.data)
            kind = _decode_kind(event.data).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b""
        if kind == _CREATED or not kind:
            return b""
        fields[_NUMBER] = msgspec.Raw(b"%d" % self.next)
        self.next += 1
        return sse.render(_encode(fields), event.name)


def after(blocks: bytes, last: int, number: int) -> bytes:
    """Return those of consecutive events, `last` numbering the last one, that follow `number`."""
    events = sse.Splitter().feed(blocks)
    known = number - (last - len(events))
    return b"".join(events[known:]) if known > 0 else blocks
