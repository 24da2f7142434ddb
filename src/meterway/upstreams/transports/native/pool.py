"""The keep-alive pool: hands out connections, takes them back, and sends requests on them."""

import asyncio
import ssl

from meterway.upstreams.errors import (
    ConnectError,
    ConnectTimeoutError,
    CutConnectionError,
    TransportError,
)
from meterway.upstreams.transport import Outgoing, Response, Url
from meterway.upstreams.transports.decoding import DECODED_LIMIT, coding_of, plain
from meterway.upstreams.transports.heads import line_end, request_head
from meterway.upstreams.transports.native.connection import (
    Connection,
    Outcome,
    StaleConnectionError,
)

_REMEMBERED = 4096


class Origin:
    """One scheme, host and port, and its idle connections, the last used on top."""

    __slots__ = ("_idle", "_max_idle", "_open", "host", "port", "tls")

    def __init__(self, url: Url, connections: set[Connection], max_idle: int) -> None:
        self.host, self.port, self.tls = url.host, url.port, url.scheme == "https"
        self._open = connections
        self._idle: list[Connection] = []
        self._max_idle = max_idle

    def take(self) -> Connection | None:
        """Return an idle connection that looks alive."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
        return None

    def free(self, connection: Connection) -> bool:
        """Keep an idle connection; False where there is no room."""
        if len(self._idle) >= self._max_idle:
            return False
        self._idle.append(connection)
        return True

    def closing(self, connection: Connection) -> None:
        """Hand this connection out no more."""
        if connection in self._idle:
            self._idle.remove(connection)

    def lost(self, connection: Connection) -> None:
        """The connection's socket is gone."""
        self._open.discard(connection)


class NativeTransport:
    """Carries requests over HTTP/1.1, plain or TLS, with our own pool.

    `tls` replaces the default context (system store or `SSL_CERT_FILE`, certificates and names
    verified). An idle connection is kept `keep_idle` seconds, at most `max_idle` for each origin.
    A kept connection that closes before one byte of the answer, within `stale_window` seconds of
    the request, was stale: the request goes out once more on a fresh one.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        max_idle: int = 256,
        keep_idle: float = 30.0,
        stale_window: float = 1.0,
        decoded_limit: int = DECODED_LIMIT,
    ) -> None:
        self._tls = tls
        self._max_idle = max_idle
        self._keep_idle = keep_idle
        self._stale_window = stale_window
        self._decoded_limit = decoded_limit
        self._addresses: dict[Url, tuple[Origin, bytes]] = {}
        self._origins: dict[tuple[str, str, int], Origin] = {}
        self._open: set[Connection] = set()
        self._closed = False

    @property
    def open_connections(self) -> int:
        """How many connections are open, idle ones included."""
        return len(self._open)

    async def send(self, request: Outgoing) -> Response:
        """Send `request`; return once status and headers came.

        Raises a `TransportError` when the exchange breaks and `ValueError` for a request that
        cannot be sent as HTTP. A cancelled call frees its connection.
        """
        origin, end_of_line = self._addresses.get(request.url) or self._address(request.url)
        head = request_head(request.method, end_of_line, request.headers, len(request.body))
        connection = origin.take()
        if connection is None:
            connection = await self._connect(origin, request.timeouts.connect)
        outcome = await _answer(connection, head, request)
        if isinstance(outcome, StaleConnectionError):
            connection = await self._connect(origin, request.timeouts.connect)
            outcome = await _answer(connection, head, request)
        if isinstance(outcome, TransportError):
            raise outcome
        if coding_of(outcome.headers):
            return await plain(outcome, self._decoded_limit)
        return outcome

    async def close(self) -> None:
        """Close every connection; what is under way ends as cut."""
        self._closed = True
        for connection in tuple(self._open):
            connection.abort()
        while self._open:  # noqa: ASYNC110 - aborted sockets are gone within a turn of the loop
            await asyncio.sleep(0)

    def _address(self, url: Url) -> tuple[Origin, bytes]:
        """Remember what every request to `url` needs."""
        end_of_line = line_end(url)
        if len(self._addresses) >= _REMEMBERED:  # a forgotten origin's connections expire
            self._addresses.clear()
            self._origins.clear()
        key = (url.scheme, url.host, url.port)
        if key not in self._origins:
            self._origins[key] = Origin(url, self._open, self._max_idle)
        self._addresses[url] = self._origins[key], end_of_line
        return self._addresses[url]

    async def _connect(self, origin: Origin, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(
            origin, loop, keep_idle=self._keep_idle, stale_window=self._stale_window
        )
        where = f"{origin.host}:{origin.port}"
        try:
            async with asyncio.timeout(seconds):
                await self._dial(loop, origin, connection, seconds)
        except TimeoutError:
            raise ConnectTimeoutError(f"No connection to {where} within {seconds:g} s.") from None
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"No connection to {where}: {error}.") from error
        if self._closed:
            connection.abort()
            raise ConnectError("The transport was closed.")
        if not connection.usable():
            raise CutConnectionError(f"{where} closed the connection at once.")
        self._open.add(connection)
        return connection

    async def _dial(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        connection: Connection,
        seconds: float,
    ) -> None:
        try:
            if not origin.tls:
                await loop.create_connection(lambda: connection, origin.host, origin.port)
                return
            await loop.create_connection(
                lambda: connection,
                origin.host,
                origin.port,
                ssl=self._context(),
                server_hostname=origin.host,
                ssl_handshake_timeout=max(seconds, 0.001),
            )
        except BaseException:
            connection.abort()
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = default_context()
        return self._tls


def default_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a verifying context: the system store or `SSL_CERT_FILE`, and `ca_file` besides."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _answer(connection: Connection, head: bytes, request: Outgoing) -> Outcome:
    waiter = connection.exchange(head, request)
    try:
        return await waiter
    except BaseException:
        connection.forsake(waiter)
        raise
