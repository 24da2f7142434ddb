"""One HTTP request as plain ASGI: its facts, its body, and a whole reply to it."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from meterway.edge.inflate import inflate
from meterway.kit import ids
from meterway.kit.errors import InvalidRequestError, TooLargeError, UnavailableError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
LINES = "meterway.lines"
"""Where in the message that begins a reply `head_of` puts its lines."""

_KEY = "meterway.request"
_EXPOSED = (
    b"x-request-id, request-id, retry-after, retry-after-ms, openai-processing-ms, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    b"x-meterway-receipt, x-meterway-provider, x-meterway-attempts, x-meterway-token-source, "
    b"x-meterway-cost, x-meterway-dropped, "
    b"idempotent-replayed, original-request"
)
CORS: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
)
_LOGGED_LENGTH = 128


class ClientGoneError(Exception):
    """The client left before its request was whole; there is nobody to answer."""


class InFlight:
    """The request bytes one worker holds at a time; more is refused before memory runs out."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def check(self, size: int) -> None:
        """Raise `UnavailableError` where `size` more bytes are too many."""
        if self.held + size > self.limit:
            message = "The gateway holds as many request bytes as it can; retry in a moment."
            raise UnavailableError(message, retry_after=1.0)

    def take(self, size: int) -> None:
        """Count `size` more bytes. Raises `UnavailableError` where they are too many."""
        self.check(size)
        self.held += size

    def give(self, size: int) -> None:
        """Count `size` bytes less."""
        self.held -= size


class Request:
    """The facts of one request, made once and found in its scope by `request_of`.

    `headers` has lower-case names, and of a repeated one the last value. `head` are the headers
    every reply to it carries: its ids, and CORS for a browser. `name` is the request id in bytes.
    """

    __slots__ = ("_held", "_in_flight", "call_id", "head", "headers", "name", "request_id")

    def __init__(self, call_id: int, headers: Headers) -> None:
        self.call_id = call_id
        self.request_id = text = ids.request_id(call_id)
        self.headers: Mapping[bytes, bytes] = dict(headers)
        self.name = name = text.encode()
        self.head: list[tuple[bytes, bytes]] = [(b"x-request-id", name), (b"request-id", name)]
        if b"origin" in self.headers:
            self.head += CORS
        self._held = 0
        self._in_flight: InFlight | None = None

    def text(self, name: bytes) -> str | None:
        """Return a header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def facts(self) -> dict[str, str]:
        """Return what a log event says of this request: its id and the client's own ids for it."""
        facts = {"request_id": self.request_id}
        for name in ("x-client-request-id", "traceparent"):
            if value := self.text(name.encode()):
                facts[name.replace("-", "_")] = value[:_LOGGED_LENGTH]
        return facts

    def hold(self, in_flight: InFlight, size: int) -> None:
        """Count `size` bytes of this request as held. Raises `UnavailableError`."""
        in_flight.take(size)
        self._in_flight = in_flight
        self._held += size

    def release(self) -> None:
        """Count this request's bytes as freed; call it when its body is no longer needed."""
        if self._in_flight is not None:
            self._in_flight.give(self._held)
            self._in_flight, self._held = None, 0


def begin(scope: Scope, call_id: int) -> Request:
    """Make the request of `scope` and leave it there."""
    request = scope[_KEY] = Request(call_id, scope["headers"])
    return request


def request_of(scope: Scope) -> Request:
    """Return what `begin` left in `scope`."""
    request: Request = scope[_KEY]
    return request


async def read_body(scope: Scope, receive: Receive, limit: int, in_flight: InFlight) -> bytes:
    """Return the whole body, without its content-encoding.

    Its bytes count as held until `Request.release`. Raises `TooLargeError` over `limit` bytes
    (before or after unpacking), `UnavailableError` where the worker holds too much already,
    `UnsupportedEncodingError`, `InvalidRequestError`, and `ClientGoneError`.
    """
    request: Request = scope[_KEY]
    declared = _declared_length(request.headers)
    if declared > limit:
        raise _too_large(limit)
    in_flight.check(declared)  # what is only announced keeps nobody else out
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")  # whole at once, as nearly all are
        _hold_more(request, len(body), 0, limit, in_flight)
    else:
        body = await _gather(message, request, receive, limit, in_flight)
    encoding = request.headers.get(b"content-encoding")
    if encoding is None:
        return body
    room = min(limit, in_flight.limit - in_flight.held)
    unpacked = await inflate(body, encoding.decode("latin-1"), room)
    request.hold(in_flight, max(len(unpacked) - len(body), 0))
    return unpacked


def _declared_length(headers: Mapping[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    if not text.isdigit():  # the server's parser refused it already; other servers may not
        raise InvalidRequestError("The content-length header is not a number.")
    return int(text)


async def _gather(
    message: Mapping[str, Any],
    request: Request,
    receive: Receive,
    limit: int,
    in_flight: InFlight,
) -> bytes:
    """Read on from the first `message` and return the whole body."""
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message.get("body", b""))
        held, size = size, size + len(pieces[-1])
        _hold_more(request, size, held, limit, in_flight)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


def _hold_more(request: Request, size: int, held: int, limit: int, in_flight: InFlight) -> None:
    """Hold what came since `held` bytes. Raises `TooLargeError`, `UnavailableError`."""
    if size > limit:
        raise _too_large(limit)
    request.hold(in_flight, size - held)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The request body is larger than the {limit} bytes accepted here.")


def head_of(status: int, headers: Headers, lines: bytes = b"") -> MutableMapping[str, Any]:
    """Return the message that begins a reply; `lines` are headers of ours, written out and joined.

    They tell of the moment: what records a reply leaves them out.
    """
    return {"type": "http.response.start", "status": status, "headers": headers, LINES: lines}


async def send_reply(
    send: Send, status: int, headers: Headers, body: bytes, lines: bytes = b""
) -> None:
    """Send a whole reply; its length is added to `headers`, and `lines` go as they are."""
    length = (b"content-length", b"%d" % len(body))
    await send(head_of(status, [*headers, length], lines))
    await send({"type": "http.response.body", "body": body, "more_body": False})
