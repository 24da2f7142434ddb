"""An instant upstream of our own: fixed replies, and streams that send every chunk by itself.

The end of the model's name chooses what it does: `-paced` streams 100 chunks 5 ms apart, `-brief`
4 chunks at once, `-held` a chunk every 2 s while the client stays (at most 5 minutes). A path that
begins with `/large` is answered with about 100 KB. Run as

    python -m meterway.bench.upstream [CERTIFICATE_FOLDER]

it prints its plain and its TLS port (0 without a folder) and ends when its standard input does.
"""

import asyncio
import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from meterway.bench.certificate import Certificate
from meterway.bench.payloads import closing_frames, opening_frames, token_frame, whole_reply
from meterway.bench.types import Dialect, Size

_STREAM = re.compile(rb'"stream"\s*:\s*true')
_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_PACE = re.compile(rb'"model"\s*:\s*"[^"]*-(paced|brief|held)"')
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream goes: how many chunks of text, and how many seconds apart."""

    chunks: int
    interval: float


PACES = {b"paced": Pace(100, 0.005), b"brief": Pace(4, 0.0), b"held": Pace(150, 2.0)}


def chunked(data: bytes) -> bytes:
    """Return `data` as one chunk of an HTTP/1.1 chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@functools.cache
def rendered_reply(dialect: Dialect, size: Size) -> bytes:
    """Return a whole HTTP response, head included."""
    body = whole_reply(dialect, size)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


@functools.cache
def rendered_stream(dialect: Dialect, *, usage: bool) -> tuple[bytes, bytes, bytes]:
    """Return a stream's first write (head and first text), a further chunk, and the end."""
    token = chunked(token_frame(dialect))
    first = _STREAM_HEAD + chunked(opening_frames(dialect)) + token
    return first, token, chunked(closing_frames(dialect, usage=usage)) + b"0\r\n\r\n"


class UpstreamProtocol(asyncio.Protocol):
    """One connection of the upstream; requests follow one another on it."""

    def __init__(self) -> None:
        """Make a connection that is not yet open."""
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop the running stream, if any."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on; a client that does not speak HTTP is cut off."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.abort()

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self._url = b""
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer: the whole reply at once, or the first write of a stream."""
        dialect = Dialect.ANTHROPIC if self._url.endswith(b"/messages") else Dialect.OPENAI
        if _STREAM.search(self._body) is None:
            size = Size.LARGE if self._url.startswith(b"/large") else Size.SMALL
            self._write(rendered_reply(dialect, size))
            return
        found = _PACE.search(self._body)
        pace = PACES[found.group(1) if found else b"brief"]
        usage = _USAGE.search(self._body) is not None
        first, token, end = rendered_stream(dialect, usage=usage)
        self._write(first)
        if pace.interval:
            self._later(
                pace.interval, functools.partial(self._tick, pace, token, end, pace.chunks - 1)
            )
        else:
            self._write(token * (pace.chunks - 1) + end)

    def _tick(self, pace: Pace, token: bytes, end: bytes, left: int) -> None:
        if left == 0:
            self._write(end)
            return
        self._write(token)
        self._later(pace.interval, functools.partial(self._tick, pace, token, end, left - 1))

    def _later(self, seconds: float, then: functools.partial[None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(folder: Path | None) -> None:
    """Listen on loopback, print the two ports, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(UpstreamProtocol, "127.0.0.1", 0, backlog=2048)]
    if folder is not None:
        certificate = Certificate(
            folder / "authority.pem", folder / "chain.pem", folder / "key.pem"
        )
        context = certificate.server_context()
        servers.append(
            await loop.create_server(UpstreamProtocol, "127.0.0.1", 0, ssl=context, backlog=2048)
        )
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    sys.stdout.write(f"{ports[0]} {ports[1] if folder else 0}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
