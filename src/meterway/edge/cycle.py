"""One request and its response on a connection, with less work than uvicorn's own.

Head and first body leave in one write; header values are searched for line breaks instead of
matched against patterns; a large body is not copied. What an application may do is the same.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from meterway.edge.http import Headers

GONE = "meterway.gone"
_BODILESS = frozenset({204, 304})
_COPIED = 16 * 1024  # bytes; joining a smaller body to its head is cheaper than a second buffer


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


class Cycle(RequestResponseCycle):
    """Implements `receive` and `send` of ASGI for one request."""

    _head: bytes = b""

    async def receive(self) -> Any:
        """Return the next message from the client; a small request's body is there at once."""
        whole = not (self.more_body or self.disconnected or self.response_complete)
        if not whole or not self.message_event.is_set() or self.waiting_for_100_continue:
            return await super().receive()
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take one message of the application's.

        Raises `RuntimeError` for messages out of order and headers that would break the framing.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._write(message.get("body", b""), more=message.get("more_body", False))
        else:
            problem = f"Unexpected ASGI message {kind!r} in this state of the response."
            raise RuntimeError(problem)

    def _start(self, status: int, headers: Headers) -> None:
        content = [STATUS_LINE[status]]
        chunked = status not in _BODILESS and self.scope["method"] != "HEAD"
        for name, value in (*self.default_headers, *headers):
            if b"\n" in value or b"\r" in value or b"\0" in value:
                problem = f"The value of header {name!r} holds a line break."
                raise RuntimeError(problem)
            if name == b"content-length":
                self.expected_content_length = int(value)
                chunked = False
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            content += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            content.append(b"connection: close\r\n")
        if chunked:
            content.append(b"transfer-encoding: chunked\r\n")
        content.append(b"\r\n")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = chunked
        self._head = b"".join(content)

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
            self.expected_content_length = 0
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("The response's body is not as long as its content-length.")
        head, self._head = self._head, b""
        if head and len(body) > _COPIED:
            self.transport.writelines((head, body))
        elif head or body:
            self.transport.write(head + body if head else body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
