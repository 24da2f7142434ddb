"""One HTTP/1.1 connection to an upstream: writes a request, parses its response, then the next.

Life: idle → `exchange` → head awaited → body flowing → idle again, or closed. One timer serves
the whole life: it looks at time stamps when it fires instead of being moved by every byte.
Follows RFC 9112 for message framing; the parsing itself is llhttp's (through httptools).
"""

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from meterway.kit.outbox import Outbox
from meterway.upstreams.errors import (
    CutConnectionError,
    FirstByteTimeoutError,
    IdleTimeoutError,
    ProtocolError,
    TransportError,
)
from meterway.upstreams.transport import Headers, Outgoing
from meterway.upstreams.transports.heads import HEAD_LIMIT, HEADERS_LIMIT
from meterway.upstreams.transports.native.response import HIGH_WATER, NativeResponse
from meterway.upstreams.types import Timeouts

_JOIN_BELOW = 16 * 1024  # copying a body this small costs less than a second buffer
_PIECE = 256 * 1024
_FINAL = 200

Outcome = NativeResponse | TransportError


class StaleConnectionError(CutConnectionError):
    """A kept connection turned out to be closed before it brought one byte of the answer."""


class Owner(Protocol):
    """The pool a connection belongs to."""

    def free(self, connection: "Connection") -> bool:
        """Keep an idle connection; False where there is no room."""

    def closing(self, connection: "Connection") -> None:
        """Hand this connection out no more."""

    def lost(self, connection: "Connection") -> None:
        """The connection's socket is gone."""


class Connection(asyncio.Protocol):
    """A connection of the pool; carries one exchange at a time."""

    __slots__ = (
        "_framing",
        "_head_only",
        "_headers",
        "_heard",
        "_keep",
        "_keep_idle",
        "_loop",
        "_outbox",
        "_owner",
        "_parser",
        "_paused",
        "_response",
        "_reused",
        "_since",
        "_stale_window",
        "_step",
        "_timeouts",
        "_timer",
        "_timer_at",
        "_trailers",
        "_transport",
        "_unsent",
        "_waiter",
        "_writable",
    )

    def __init__(
        self,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        *,
        keep_idle: float,
        stale_window: float,
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._outbox = outbox
        self._keep_idle = self._step = keep_idle
        self._stale_window = stale_window
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._timeouts: Timeouts | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._since = 0.0  # when the request was written, or the connection became idle
        self._heard: float | None = None  # when the last byte of this exchange came
        self._waiter: asyncio.Future[Outcome] | None = None
        self._response: NativeResponse | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._framing = 0  # bytes that came since the last byte of a body
        self._trailers = 0
        self._unsent: memoryview | None = None
        self._head_only = self._reused = self._keep = self._paused = False
        self._writable = True

    # What the pool calls.

    def usable(self) -> bool:
        """Tell whether another exchange may begin."""
        return self._transport is not None and not self._transport.is_closing()

    def exchange(self, head: bytes, request: Outgoing) -> "asyncio.Future[Outcome]":
        """Write a request; the future brings the response's head or what went wrong."""
        transport = cast("asyncio.Transport", self._transport)
        self._since = now = self._loop.time()
        timeouts = request.timeouts
        if timeouts is not self._timeouts:
            self._timeouts = timeouts
            self._step = min(timeouts.first_byte, timeouts.idle, self._keep_idle)
        if self._timer is None or self._timer_at > now + self._step:
            self._arm(now + self._step)
        self._heard = None
        self._framing = 0
        self._head_only = request.method == "HEAD"
        self._waiter = waiter = self._loop.create_future()
        body = request.body
        if len(body) < _JOIN_BELOW:
            self._outbox.post(transport, head + body)
        elif len(body) <= _PIECE:
            self._outbox.post(transport, (head, body))
        else:
            self._outbox.flush()
            transport.write(head)
            self._unsent = memoryview(body)
            self._upload()
        return waiter

    def forsake(self, waiter: "asyncio.Future[Outcome]") -> None:
        """Whoever awaited `waiter` was cancelled: free what it would have got."""
        if self._waiter is waiter:
            self.abort()
        elif waiter.done() and not waiter.cancelled():
            outcome = waiter.result()
            if isinstance(outcome, NativeResponse):
                outcome.cut()

    def abort(self) -> None:
        """Close the connection now; what was awaited of it ends as cut."""
        self._fail(CutConnectionError("The connection to the upstream was closed."))

    def resume(self) -> None:
        """Read on after the buffer was emptied."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._heard = self._loop.time()
            self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin an idle life."""
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        self._arm(self._since + self._keep_idle)

    def data_received(self, data: bytes) -> None:
        """Parse what came; bytes that no request asked for close the connection."""
        parser = self._parser
        if parser is None or (self._waiter is None and self._response is None):
            self.abort()
            return
        self._heard = self._loop.time()
        self._framing += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(_protocol_error(error))
            return
        if self._framing > HEAD_LIMIT and (self._waiter or self._response):
            self._fail(ProtocolError(f"The upstream sent a head of over {HEAD_LIMIT} bytes."))

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever was awaited, and forget the connection."""
        self._transport = None
        response = self._response
        if response is not None and exc is None and _ends_with_connection(response.headers):
            self._response = None
            response.end(None)
        self._fail(self._cut())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._parser = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Stop the upload: the peer takes no more for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with the upload."""
        self._writable = True
        self._upload()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuse a response that answers nothing."""
        if self._waiter is None:
            raise ProtocolError("The upstream sent more than one answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of the head; trailers are counted and dropped."""
        if self._response is None:
            self._headers.append((name.lower(), value))
        else:
            self._trailers += 1
            if self._trailers > HEADERS_LIMIT:
                raise ProtocolError(f"The upstream sent over {HEADERS_LIMIT} trailers.")

    def on_headers_complete(self) -> None:
        """Hand out the response, unless this head was an interim one (1xx)."""
        parser, waiter = self._parser, self._waiter
        assert parser is not None
        status, headers = parser.get_status_code(), self._headers
        if len(headers) > HEADERS_LIMIT or self._framing > HEAD_LIMIT:
            _check_size(headers)
        self._headers = []
        if status < _FINAL:
            _check_interim(status)
            return
        if waiter is None or waiter.done():
            raise ProtocolError("Nobody waits for this answer any more.")
        self._waiter = None
        self._trailers = 0
        self._keep = parser.should_keep_alive() and self._unsent is None
        self._response = response = NativeResponse(status, headers, self)
        waiter.set_result(response)
        if self._head_only:
            self._parser = HttpResponseParser(self)  # this one would wait for a body
            self._complete(response)

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body; too much unread stops the reading."""
        self._framing = 0
        response = self._response
        if response is None:
            raise ProtocolError("The upstream sent a body where none may be.")
        if response.feed(body) > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the response and become idle, whether or not the body was read yet."""
        if self._response is not None:
            self._complete(self._response)

    # How it works.

    def _complete(self, response: NativeResponse) -> None:
        self._response = None
        response.end(None)
        if self._paused:
            self.resume()
        self._since = self._heard or self._since
        self._reused = True
        if not (self._keep and self.usable() and self._owner.free(self)):
            self.abort()

    def _upload(self) -> None:
        transport = self._transport
        while self._unsent is not None and self._writable and transport is not None:
            piece, rest = self._unsent[:_PIECE], self._unsent[_PIECE:]
            self._unsent = rest if len(rest) else None
            transport.write(piece)

    def _fail(self, error: TransportError) -> None:
        waiter, response = self._waiter, self._response
        self._waiter = self._response = self._unsent = None
        self._owner.closing(self)
        if self._transport is not None:
            self._transport.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(error)
        if response is not None:
            response.end(error)

    def _cut(self) -> CutConnectionError:
        fresh_loss = self._loop.time() - self._since <= self._stale_window
        if self._reused and self._heard is None and fresh_loss:
            return StaleConnectionError("The upstream had closed the kept connection.")
        part = "answering" if self._heard is None else "its answer ended"
        return CutConnectionError(f"The upstream closed the connection before {part}.")

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """See what is overdue, and come back when the next thing may be."""
        self._timer = None
        now = self._loop.time()
        deadline = self._deadline(now)
        if now < deadline:
            self._arm(min(deadline, now + max(self._step, 0.001)))
        else:
            self._fail(self._overdue())

    def _deadline(self, now: float) -> float:
        timeouts = self._timeouts
        if timeouts is None or (self._waiter is None and self._response is None):
            return self._since + self._keep_idle
        if self._response is None:
            return self._since + timeouts.first_byte
        if self._response.size:  # it is the reader who is slow
            return now + timeouts.idle
        return (self._heard or self._since) + timeouts.idle

    def _overdue(self) -> TransportError:
        timeouts = self._timeouts
        if timeouts is not None and self._waiter is not None:
            return FirstByteTimeoutError(
                f"The upstream did not begin to answer within {timeouts.first_byte:g} s."
            )
        idle = timeouts.idle if timeouts is not None else self._keep_idle
        return IdleTimeoutError(f"The upstream fell silent for {idle:g} s in its answer.")


def _ends_with_connection(headers: Headers) -> bool:
    """Tell whether the end of the connection is the end of the body (RFC 9112 section 6.3)."""
    chunked = False
    for name, value in headers:
        if name == b"content-length":
            return False
        if name == b"transfer-encoding":
            chunked = value.lower().rstrip().endswith(b"chunked")
    return not chunked


def _check_size(headers: Headers) -> None:
    if len(headers) > HEADERS_LIMIT:
        raise ProtocolError(f"The upstream sent over {HEADERS_LIMIT} headers.")
    if sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_LIMIT:
        raise ProtocolError(f"The upstream sent a head of over {HEAD_LIMIT} bytes.")


def _check_interim(status: int) -> None:
    if status < 100:  # noqa: PLR2004 - statuses begin here
        raise ProtocolError(f"The upstream sent the status {status}, which does not exist.")
    if status == 101:  # noqa: PLR2004 - Switching Protocols
        raise ProtocolError("The upstream wants to leave HTTP, which nobody asked for.")


def _protocol_error(error: Exception) -> ProtocolError:
    cause = error.__context__
    if isinstance(cause, ProtocolError):
        return cause
    return ProtocolError(f"The upstream's answer is not valid HTTP: {error}.")
