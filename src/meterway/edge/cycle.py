"""One request and its response on a connection: `receive` and `send` of ASGI.

Leaner than uvicorn's own, which it stands in for. Head and first body leave in one write, with
those of other connections; the head is searched for line breaks once, not matched header by
header; a small body is passed on uncopied; nothing is made to wait on until something waits.
What an application may do is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from meterway.edge.http import LINES, Handler, Headers, Scope
from meterway.kit.outbox import Outbox

GONE = "meterway.gone"
_STATUS = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}
_FRAMING = frozenset({b"connection", b"content-length"})
_END = (b"", b"")
_BODILESS = frozenset({204, 304})
_COPIED = 16 * 1024  # bytes; joining a smaller body to its head is cheaper than a second buffer
_log = structlog.get_logger()


class Gone:
    """Tells one watcher when the client of the request being served is no longer there.

    `task` serves the request.
    """

    __slots__ = ("_callback", "happened", "task")

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.happened = False
        self._callback: Callable[[], None] | None = None

    def watch(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the connection is lost; at once where it already is."""
        if self.happened:
            callback()
        else:
            self._callback = callback

    def unwatch(self) -> None:
        """Forget the callback."""
        self._callback = None

    def happen(self) -> None:
        """The connection is lost."""
        self.happened = True
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Connection(Protocol):
    """What a cycle needs of its connection."""

    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    answered: "asyncio.Future[None]"  # is done; awaiting it costs less than a coroutine

    @property
    def outbox(self) -> Outbox:
        """Where it posts what it writes."""

    def on_response_complete(self) -> None:
        """The answer is whole."""

    def close(self) -> None:
        """End the connection once what was posted is written."""


class Cycle(Gone):
    """Serves one request. The connection feeds it, the application calls `receive` and `send`.

    It does not keep its scope, which refers to it: the two need no garbage collection.
    """

    __slots__ = (
        "_arrived",
        "_body",
        "_chunked",
        "_chunks",
        "_connection",
        "_event",
        "_expected",
        "_head",
        "_head_only",
        "_left",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        *,
        keep_alive: bool,
        expected: bool,
        chunks: bool = True,
    ) -> None:
        self.happened = False
        self._callback = None
        self._connection = connection
        self._head_only = method == "HEAD"
        self._expected = expected  # the client waits for 100 Continue
        self._body: bytes | bytearray = b""
        self._arrived = False  # something that `receive` has not told yet
        self._event: asyncio.Event | None = None
        self._chunks = chunks  # without, the connection's end is that of a body of unknown length
        self._head = b""
        self.keep_alive = keep_alive
        self.more_body = True
        self.response_started = self.response_complete = False

    # -- what the connection calls ---------------------------------------------------------------

    def feed(self, body: bytes) -> int:
        """Take a piece of body; return how many bytes wait to be received."""
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        self.wake()
        return len(self._body)

    def wake(self) -> None:
        """Let `receive` return: there is something to tell."""
        self._arrived = True
        if self._event is not None:
            self._event.set()

    def happen(self) -> None:
        """The connection is lost."""
        super().happen()
        self.wake()

    async def run(self, app: Handler, scope: Scope) -> None:
        """Call `app`; what it raises or leaves undone is logged, and answered where possible."""
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 - the last place where a failure can be told
            _log.error("request.crashed", exc_info=error)
        else:
            if self.response_complete or self.happened:
                return
            _log.error("request.unanswered", begun=self.response_started)
        if self.response_started:
            self._connection.close()
        else:
            self._send_500()

    def _send_500(self) -> None:
        body = b"Internal Server Error"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if not self.happened:
            self._start(500, headers)
            self._write(body, more=False)

    # -- what the application calls --------------------------------------------------------------

    async def receive(self) -> Any:
        """Return the next message from the client; a small request's body is there at once."""
        connection = self._connection
        if self._expected and not connection.transport.is_closing():
            connection.outbox.post(connection.transport, b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expected = False
        if not (self.happened or self.response_complete):
            connection.flow.resume_reading()
            if not self._arrived:
                await self._arrival()
            self._arrived = False
        if self.happened or self.response_complete:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    async def _arrival(self) -> None:
        if self._event is None:
            self._event = asyncio.Event()
        self._event.clear()
        await self._event.wait()

    def send(self, message: Any) -> Awaitable[None]:
        """Take one message of the application's.

        Raises `RuntimeError` for messages out of order and headers that would break the framing.
        """
        connection = self._connection
        if self.happened:
            return connection.answered
        if connection.flow.write_paused:
            return self._send_later(message)
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            lines = message.get(LINES, b"")
            self._start(message["status"], message.get("headers", ()), lines)
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._write(message.get("body", b""), more=message.get("more_body", False))
        else:
            problem = f"Unexpected ASGI message {kind!r} in this state of the response."
            raise RuntimeError(problem)
        return connection.answered

    async def _send_later(self, message: Any) -> None:
        await self._connection.flow.drain()
        await self.send(message)

    def _start(self, status: int, headers: Headers, prepared: bytes = b"") -> None:
        content = [_STATUS[status]]
        chunked = status not in _BODILESS and not self._head_only
        self._left: int | None = 0
        for pair in (*self._connection.server_state.default_headers, *headers):
            if pair[0] in _FRAMING:
                if pair[0] == b"content-length":
                    self._left = int(pair[1])
                    chunked = False
                elif pair[1] == b"close":
                    self.keep_alive = False
                    continue
            content.append(b": ".join(pair))
        if not self.keep_alive:
            content.append(b"connection: close")
        if chunked and self._chunks:
            content.append(b"transfer-encoding: chunked")
        elif chunked:
            chunked, self._left = False, None
        lines = len(content) + 1  # the blank one
        if prepared:
            content.append(prepared)
            lines += 1 + prepared.count(b"\r\n")
        content += _END
        head = b"\r\n".join(content)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("A header of the response holds a line break.")
        self.response_started = True
        self._expected = False
        self._chunked = chunked
        self._head = head

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._head_only:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("The response's body is not as long as its content-length.")
        outbox, transport = self._connection.outbox, self._connection.transport
        head, self._head = self._head, b""
        if head and len(body) > _COPIED:
            outbox.post(transport, (head, body))
        elif head or body:
            outbox.post(transport, head + body if head else body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        if self._event is not None:
            self._event.set()
        if not self.keep_alive:
            self._connection.close()
        self._connection.on_response_complete()
