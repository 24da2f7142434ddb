"""A scripted HTTP upstream on a raw socket: sends exactly the bytes a test tells it to, when told.

    async with UpstreamServer() as server:
        gate = asyncio.Event()
        server.script(HEAD_CHUNKED, chunk(b"first"), gate, chunk(b"second"), LAST_CHUNK)
        response = await transport.send(Outgoing(url=server.url("/v1/x"), ...))
        ...                                  # the first chunk is here, the second withheld
        gate.set()

Each request that arrives takes the next script; when none is left, the `always` one. A script
is a row of steps: `bytes` are written as they are, an `asyncio.Event` is awaited, and an `End`
ends the connection. `requests` keeps what came, byte for byte; nothing here ever sleeps, and
every wait ends with an error after `DEADLINE` seconds.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Self

from meterway.upstreams.transport import Url

DEADLINE = 10.0
SERVING = "upstream-server"  # the name of the tasks of connections
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class End(Enum):
    """How a script ends its connection."""

    CLOSE = "close"  # an orderly end: FIN
    RESET = "reset"  # a broken one: RST


Step = bytes | asyncio.Event | End


class Received(NamedTuple):
    """One request as it came; header names lower-case. `connection` counts from 0."""

    connection: int
    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    raw: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the one value of `name`, None where it is absent; two are an error."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) <= 1, f"{name!r} was sent {len(values)} times"
        return values[0] if values else None


def reply(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
) -> bytes:
    """Return the bytes of a whole response with its content-length."""
    lines = [b"HTTP/1.1 %d Whatever" % status]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def head(status: int = 200, *headers: tuple[bytes, bytes]) -> bytes:
    """Return the bytes of a response head with these headers alone."""
    lines = [b"HTTP/1.1 %d Whatever" % status, *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", b""])


HEAD_CHUNKED = head(
    200, (b"content-type", b"text/event-stream"), (b"transfer-encoding", b"chunked")
)
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk of chunked framing."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class UpstreamServer:
    """A server on 127.0.0.1; use it as an async context manager.

    `tls` makes it speak HTTPS (see `trustme` for certificates). `read_requests=False` accepts
    connections and stops reading them in the middle of a request, after sending `deaf_answer`;
    `greeting` is sent before any request. Failures of a script are raised on leaving.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host_name: str = "127.0.0.1",
        read_requests: bool = True,
        greeting: bytes = b"",
        deaf_answer: bytes = b"",
    ) -> None:
        self.requests: list[Received] = []
        self.connections = 0  # how many were ever accepted
        self.open = 0  # how many are open now
        self.sent = 0  # bytes of scripts handed to the sockets
        self.port = 0
        self._tls = tls
        self._host_name = host_name
        self._reads = read_requests
        self._greeting = greeting
        self._deaf_answer = deaf_answer
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._always: tuple[Step, ...] = (reply(b"{}"),)
        self._changed = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._server: asyncio.Server | None = None

    def script(self, *steps: Step) -> None:
        """Answer one more request with these steps."""
        self._scripts.append(steps)

    def always(self, *steps: Step) -> None:
        """Answer with these steps whenever no `script` is left."""
        self._always = steps

    def url(self, target: str = "/v1/chat/completions") -> Url:
        """Return the address of `target` here."""
        scheme = "https" if self._tls else "http"
        return Url(scheme, self._host_name, self.port, target)

    async def received(self, count: int = 1) -> Received:
        """Wait until `count` requests have come whole; return the last of them."""
        await self.until(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def all_closed(self) -> None:
        """Wait until every connection that was opened is closed by the client or a script."""
        await self.until(lambda: self.open == 0)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()`, looking whenever a connection or a request comes or goes."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(holds)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving - self._ending:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        for _turn in range(3):  # the loop lets go of a closed socket some turns later
            await asyncio.sleep(0)
        if self._failures:
            raise self._failures[0]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer, self.connections), name=SERVING)
        self.connections += 1
        self.open += 1
        self._serving.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        self._serving.discard(task)
        self._ending.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._failures.append(failure)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            await self._tell()
            writer.write(self._greeting)
            if not self._reads:
                await reader.read(1)
                writer.write(self._deaf_answer)
                await asyncio.Event().wait()
            while request := await _read_request(reader, number):
                self.requests.append(request)
                await self._tell()
                if not await self._perform(reader, writer):
                    return
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass  # the client went away, which `all_closed` shows
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._ending.add(task)
            self.open -= 1
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            await self._tell()

    async def _perform(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Carry out one script; False where it ended the connection."""
        for step in self._scripts.popleft() if self._scripts else self._always:
            if isinstance(step, asyncio.Event):
                if not await _client_stays(reader, step):
                    return False
            elif isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                self.sent += len(step)
            else:
                await _end(writer, step)
                return False
        return True

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _read_request(reader: asyncio.StreamReader, number: int) -> Received | None:
    """Read one request; None at the end of the connection."""
    try:
        top = await reader.readuntil(b"\r\n\r\n")
        if _CHUNKED.search(top):
            body, raw_body = await _read_chunks(reader)
        else:
            length = _LENGTH.search(top)
            body = raw_body = await reader.readexactly(int(length[1]) if length else 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *fields = top[:-4].split(b"\r\n")
    method, target, _ = line.split(b" ")
    headers = [
        (name.lower(), value.strip()) for name, _, value in (f.partition(b":") for f in fields)
    ]
    return Received(number, method.decode(), target.decode(), headers, body, top + raw_body)


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    body = raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        data = await reader.readexactly(int(line, 16) + 2)
        body, raw = body + data[:-2], raw + line + data
        if len(data) == 2:
            return body, raw


async def _client_stays(reader: asyncio.StreamReader, event: asyncio.Event) -> bool:
    """Wait for `event`; False where the client closes first."""
    waiting = asyncio.ensure_future(event.wait())
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        waiting.cancel()
        leaving.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _end(writer: asyncio.StreamWriter, how: End) -> None:
    if how is End.RESET:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
