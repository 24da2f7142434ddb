"""The events of a Responses socket: one JSON text each, in both directions.

Follows https://developers.openai.com/api/reference/resources/responses/websocket-events. Server
events are those of the stream over HTTP, without its framing. What fails before a response began
is an `error` event with the status and headers an HTTP answer would have; agents read those.
"""

from collections.abc import MutableMapping
from typing import Any, Final

import msgspec

from meterway.edge.errors import Rendered
from meterway.edge.sockets.connection import Socket
from meterway.kit import json, sse
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_family import optional

CREATE: Final = "response.create"
_PROCESSED: Final = "response.processed"  # Codex tells that it has read a response; nothing to do
_SOCKETS_OWN: Final = ("type", "background", "generate", "stream_id")
_LONGEST_LANE: Final = 64  # characters
_TRUE: Final = json.raw(value=True)
_TELLING: Final = frozenset({b"retry-after", b"retry-after-ms", b"x-should-retry"})


class UnknownEventError(InvalidRequestError):
    """A message on a socket is of a type that is not served."""

    code = "unknown_event_type"


class Wish(msgspec.Struct):
    """What one message asks for: the fields of `POST /v1/responses`, and what sockets add.

    Without `generate` the response is only prepared: its id can be continued, nothing is asked of
    an upstream.
    """

    body: RawObject
    generate: bool = True


def lane_of(body: RawObject) -> str | None:
    """Return the client's name for what a message asks; every event of the answer repeats it.

    Raises `InvalidRequestError`.
    """
    lane = optional(body, "stream_id", str)
    if lane is not None and not 0 < len(lane) <= _LONGEST_LANE:
        message = f"`stream_id` has 1 to {_LONGEST_LANE} characters."
        raise InvalidRequestError(message, param="stream_id")
    return lane


def read_wish(body: RawObject) -> Wish | None:
    """Read a message; None where it asks for nothing. Raises `InvalidRequestError`."""
    kind = optional(body, "type", str)
    if kind == _PROCESSED:
        return None
    if kind != CREATE:
        shown = "no type" if kind is None else f"the type '{kind[:_LONGEST_LANE]}'"
        message = f"The message has {shown}; send `{CREATE}` with the fields of POST /v1/responses."
        raise UnknownEventError(message, param="type")
    if optional(body, "background", bool):
        message = "`background` is not for WebSockets; use POST /v1/responses."
        raise InvalidRequestError(message, param="background")
    generate = optional(body, "generate", bool) is not False
    for name in _SOCKETS_OWN:
        body.pop(name, None)
    body["stream"] = _TRUE
    return Wish(body, generate)


class Events:
    """Sends the events of one response: the `Send` of a call whose client is a socket."""

    def __init__(self, socket: Socket, lane: str | None = None) -> None:
        self.lane = lane
        self._socket = socket
        self._splitter = sse.Splitter()

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Take a piece of the stream; its head says nothing, and comments are for HTTP alone."""
        if body := message.get("body", b""):
            await self.tell(body)

    async def tell(self, stream: bytes) -> None:
        """Send the events that `stream` completes."""
        for block in self._splitter.feed(stream):
            event = sse.parse(block)
            if event is not None and event.data.startswith(b"{"):
                await self._socket.send(self._named(event.data))

    async def fail(self, refused: Rendered, request_id: str) -> None:
        """Send the event that tells of the error of one message, whose call has `request_id`.

        Agents look for the headers beside the error, OpenAI's own clients inside it.
        """
        headers = {n.decode(): v.decode() for n, v in refused.headers if n in _TELLING}
        headers["x-request-id"] = request_id
        error = msgspec.json.decode(refused.body)["error"]
        error["headers"] = headers
        told = {"type": "error", "status": refused.status, "error": error, "headers": headers}
        await self._socket.send(self._named(json.encode(told)))

    def _named(self, event: bytes) -> bytes:
        if self.lane is None:
            return event
        return b'%b,"stream_id":%b}' % (event.rstrip()[:-1], json.encode(self.lane))
