"""The load generator of our own: raw sockets, requests rendered once, replies checked.

It is bounded three ways: by connections, by requests or seconds, and by a deadline after which
whatever is still open is cut and counted as an error.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httptools

from meterway.bench.payloads import END_MARKS, MARK, PATHS
from meterway.bench.statistics import percentile
from meterway.bench.types import Dialect, Load

_MARK = MARK.encode()
_LAST_BYTES = 512
_OPENING_AT_ONCE = 50
_MOST_ERRORS = 50
"""After so many a load ends early: a broken subject is not hammered."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a subject listens.

    Args:
        port: On 127.0.0.1.
        prefix: Comes before the path of every request.
        tls: The context to speak TLS with; plain when absent.
        key: Sent as `Authorization: Bearer` and `x-api-key`.
    """

    port: int
    prefix: str = ""
    tls: ssl.SSLContext | None = None
    key: str = "sk-bench"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ready to be sent again and again, and how to know its right reply.

    Args:
        path: With the leading slash.
        headers: Names and values, besides those HTTP itself needs.
        body: JSON.
        dialect: Whose reply is expected.
        tokens: How many `MARK`s a complete stream has; 0 for a whole reply.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    dialect: Dialect
    tokens: int = 0

    def rendered(self) -> bytes:
        """Return the HTTP/1.1 request."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            "host: 127.0.0.1",
            f"content-length: {len(self.body)}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def ask(address: Address, dialect: Dialect, body: bytes, *, tokens: int = 0, path: str = "") -> Ask:
    """Return a chat request to `address`, or one to another `path` of the same dialect."""
    headers = [("content-type", "application/json"), ("authorization", f"Bearer {address.key}")]
    if dialect is Dialect.ANTHROPIC:
        headers += [("x-api-key", address.key), ("anthropic-version", "2023-06-01")]
    return Ask(address.prefix + (path or PATHS[dialect]), tuple(headers), body, dialect, tokens)


@dataclass(slots=True)
class Tally:
    """What all connections of one load have seen so far, and whether they may go on.

    Args:
        asks: Sent in turn.
        budget: Requests that may still begin.
        until: The `time.perf_counter` after which none begins.
    """

    asks: list[bytes]
    dialect: Dialect
    tokens_expected: int
    budget: int
    until: float
    begun: int = 0
    errors: int = 0
    complaint: str = ""
    tokens: int = 0
    arrivals: int = 0
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    def next(self) -> bytes | None:
        """Return the next request to send, or nothing when the load is over."""
        if not self.open_to_more():
            return None
        self.begun += 1
        return self.asks[(self.begun - 1) % len(self.asks)]

    def open_to_more(self) -> bool:
        """Whether another request may begin."""
        return (
            self.begun < self.budget
            and self.errors < _MOST_ERRORS
            and time.perf_counter() < self.until
        )

    @property
    def settled(self) -> int:
        """How many streams have begun or failed."""
        return len(self.firsts) + self.errors

    def fail(self, complaint: str) -> None:
        """Count an error; the first one is kept in words."""
        self.errors += 1
        self.complaint = self.complaint or complaint

    def load(self, seconds: float) -> Load:
        """Return the sum of it."""
        return Load(
            requests=len(self.latencies),
            errors=self.errors,
            seconds=seconds,
            p50=percentile(self.latencies, 50) if self.latencies else 0.0,
            p99=percentile(self.latencies, 99) if self.latencies else 0.0,
            first_p50=percentile(self.firsts, 50) if self.firsts else 0.0,
            tokens=self.tokens,
            arrivals=self.arrivals,
            complaint=self.complaint,
        )


class ClientProtocol(asyncio.Protocol):
    """One connection: request, checked reply, next request, until the tally says enough."""

    def __init__(self, tally: Tally, done: asyncio.Future[None]) -> None:
        """Make a connection that reports to `tally` and resolves `done` when it has closed."""
        self._tally = tally
        self._done = done
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting = False
        self._began = 0.0
        self._tokens = 0
        self._status = 0
        self._tail = b""
        self._last = b""
        self._excerpt = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a reply that broke off."""
        if self._waiting:
            self._waiting = False
            self._tally.fail(f"connection lost before the reply was whole ({exc or 'closed'})")
        if not self._done.done():
            self._done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read on; count an arrival when it brought a token."""
        before = self._tally.tokens
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._complain(f"not HTTP: {error}")
            self._close()
        if self._tally.tokens > before:
            self._tally.arrivals += 1

    def on_message_begin(self) -> None:
        """Forget the reply before."""
        self._tokens = 0
        self._tail = self._last = self._excerpt = b""

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Count tokens, also one that is cut in two by the network."""
        if not self._excerpt:
            self._excerpt = body[:200]
        if not self._tally.tokens_expected:
            return
        joined = self._tail + body
        found = joined.count(_MARK)
        self._tail = joined[-len(_MARK) + 1 :]
        self._last = (
            (self._last + body)[-_LAST_BYTES:] if len(body) < _LAST_BYTES else body[-_LAST_BYTES:]
        )
        if found:
            if not self._tokens:
                self._tally.firsts.append(time.perf_counter() - self._began)
            self._tokens += found
            self._tally.tokens += found

    def on_message_complete(self) -> None:
        """Judge the reply and go on."""
        if not self._waiting:
            return
        expected = self._tally.tokens_expected
        if self._status != HTTPStatus.OK:
            self._complain(f"status {self._status}: {self._excerpt.decode(errors='replace')}")
        elif expected and self._tokens != expected:
            self._complain(f"{self._tokens} of {expected} chunks arrived")
        elif expected and END_MARKS[self._tally.dialect] not in self._last:
            self._complain("the stream has no end event")
        else:
            self._waiting = False
            self._tally.latencies.append(time.perf_counter() - self._began)
        if self._parser.should_keep_alive():
            self._send()
        else:
            self._close()

    def abandon(self) -> None:
        """Close without counting an error."""
        self._waiting = False
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        request = self._tally.next()
        if request is None or self._transport is None:
            self._close()
            return
        self._waiting = True
        self._began = time.perf_counter()
        self._transport.write(request)

    def _complain(self, complaint: str) -> None:
        self._waiting = False
        self._tally.fail(complaint)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much load.

    Args:
        connections: At once.
        requests: At most.
        seconds: After which none begins.
        deadline: In seconds after the start; what is open then is cut.
    """

    connections: int
    requests: int
    seconds: float
    deadline: float


async def run_load(address: Address, asks: list[Ask], bounds: Bounds) -> Load:
    """Put a closed loop of requests on `address`, sent in turn, and return what came back."""
    started = time.perf_counter()
    tally = _tally(asks, bounds, started)
    async with asyncio.TaskGroup() as group:
        for number in range(bounds.connections):
            group.create_task(
                _drive(address, tally, started + bounds.deadline, delay=number * 0.0002)
            )
    return tally.load(time.perf_counter() - started)


async def once(address: Address, question: Ask, *, deadline: float = 10.0) -> Load:
    """Send one request and return its outcome."""
    bounds = Bounds(connections=1, requests=1, seconds=deadline, deadline=deadline)
    return await run_load(address, [question], bounds)


@contextlib.asynccontextmanager
async def held_open(
    address: Address, question: Ask, count: int, *, deadline: float
) -> AsyncIterator[Tally]:
    """Open `count` streams, fifty at a time, and keep them open until the block ends.

    Whatever has not begun to stream by the deadline (in seconds) is counted as an error.
    """
    started = time.perf_counter()
    bounds = Bounds(connections=count, requests=count, seconds=deadline, deadline=deadline)
    tally = _tally([question], bounds, started)
    protocols: list[ClientProtocol] = []
    try:
        while len(protocols) < count and tally.open_to_more():
            if len(protocols) - tally.settled >= _OPENING_AT_ONCE:
                await asyncio.sleep(0.002)
                continue
            protocols.append((await _connect(address, tally))[0])
        while tally.settled < len(protocols) and time.perf_counter() < tally.until:  # noqa: ASYNC110 - counts, no event
            await asyncio.sleep(0.002)
        for _ in range(count - tally.settled):
            tally.fail("the stream had not begun at the deadline")
        yield tally
    finally:
        for protocol in protocols:
            protocol.abandon()


async def _drive(address: Address, tally: Tally, deadline: float, *, delay: float) -> None:
    """Keep one connection busy, opening another one when the subject closed it."""
    await asyncio.sleep(delay)
    while tally.open_to_more() and (left := deadline - time.perf_counter()) > 0:
        try:
            protocol, done = await asyncio.wait_for(_connect(address, tally), left)
        except OSError as error:  # a timeout is one of them
            tally.begun += 1
            tally.fail(f"cannot connect: {error}")
            continue
        try:
            await asyncio.wait_for(done, max(0.0, deadline - time.perf_counter()))
        except TimeoutError:
            tally.fail(
                f"still unanswered at the deadline, after {len(tally.latencies)} replies to others"
            )
        finally:
            protocol.abandon()


async def _connect(address: Address, tally: Tally) -> tuple[ClientProtocol, asyncio.Future[None]]:
    """Open one connection, which begins to send at once.

    Raises:
        OSError: Nobody listens, or TLS failed.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    _, protocol = await loop.create_connection(
        lambda: ClientProtocol(tally, done),
        "127.0.0.1",
        address.port,
        ssl=address.tls,
        server_hostname="127.0.0.1" if address.tls else None,
    )
    return protocol, done


def _tally(asks: list[Ask], bounds: Bounds, started: float) -> Tally:
    return Tally(
        asks=[question.rendered() for question in asks],
        dialect=asks[0].dialect,
        tokens_expected=asks[0].tokens,
        budget=bounds.requests,
        until=started + bounds.seconds,
    )
