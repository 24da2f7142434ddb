"""The keep-alive pool: hands out connections, takes them back, and sends requests on them."""

import asyncio
import ssl

from meterway.kit.outbox import Outbox
from meterway.kit.tls import default_context
from meterway.upstreams.errors import (
    ConnectError,
    ConnectTimeoutError,
    CutConnectionError,
    TransportError,
)
from meterway.upstreams.transport import Headers, Outgoing, Response, Url
from meterway.upstreams.transports.decoding import DECODED_LIMIT, coding_of, plain
from meterway.upstreams.transports.heads import fixed_head, length_field
from meterway.upstreams.transports.native.connection import (
    Connection,
    StaleConnectionError,
)
from meterway.upstreams.transports.native.response import NativeResponse

_REMEMBERED = 1024

Sort = tuple[str, Url, Headers]  # requests that differ in nothing but their body


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
        self._outbox = Outbox()
        self._sorts: dict[Sort, tuple[Origin, bytes]] = {}
        self._seen: dict[int, tuple[str, Url, Headers, tuple[Origin, bytes]]] = {}
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
        method = request.method
        origin, fixed = self._known(method, request.url, request.headers)
        head = fixed + length_field(method, len(request.body))
        connection = origin.take()
        if connection is None:
            connection = await self._connect(origin, request.timeouts.connect)
        waiter = connection.exchange(head, request)
        try:
            outcome = await waiter
        except BaseException:
            connection.forsake(waiter)
            raise
        if isinstance(outcome, NativeResponse):
            return await self._plain(outcome) if coding_of(outcome.headers) else outcome
        if isinstance(outcome, StaleConnectionError):
            return await self._again(head, origin, request)
        raise outcome

    async def _again(self, head: bytes, origin: Origin, request: Outgoing) -> Response:
        """Send once more on a fresh connection what a stale one did not take."""
        connection = await self._connect(origin, request.timeouts.connect)
        waiter = connection.exchange(head, request)
        try:
            outcome = await waiter
        except BaseException:
            connection.forsake(waiter)
            raise
        if isinstance(outcome, TransportError):
            raise outcome
        return await self._plain(outcome)

    async def _plain(self, response: NativeResponse) -> Response:
        return await plain(response, self._decoded_limit)

    async def close(self) -> None:
        """Close every connection; what is under way ends as cut."""
        self._closed = True
        for connection in tuple(self._open):
            connection.abort()
        while self._open:  # noqa: ASYNC110 - aborted sockets are gone within a turn of the loop
            await asyncio.sleep(0)

    def _known(self, method: str, url: Url, headers: Headers) -> tuple[Origin, bytes]:
        """Return what every such request needs.

        The usual request has the very headers, and address, of one before it. Asking that costs
        less than hashing them; a tuple never changes and is kept, so its identity stays its own.
        """
        seen = self._seen.get(id(headers))
        if seen is not None and seen[1] is url and seen[0] == method:
            return seen[3]
        sort = (method, url, tuple(headers))
        learned = self._sorts.get(sort)
        if learned is None:
            learned = self._learn(sort)
            if isinstance(headers, tuple):
                self._seen[id(headers)] = (method, url, headers, learned)
        return learned

    def _learn(self, sort: Sort) -> tuple[Origin, bytes]:
        """Remember what every request of this sort needs."""
        method, url, headers = sort
        fixed = fixed_head(method, url, headers)
        if len(self._sorts) >= _REMEMBERED:
            self._sorts.clear()
            self._seen.clear()
        if len(self._origins) >= _REMEMBERED:  # a forgotten origin's connections expire
            self._origins.clear()
        key = (url.scheme, url.host, url.port)
        if key not in self._origins:
            self._origins[key] = Origin(url, self._open, self._max_idle)
        self._sorts[sort] = learned = self._origins[key], fixed
        return learned

    async def _connect(self, origin: Origin, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(
            origin, loop, self._outbox, keep_idle=self._keep_idle, stale_window=self._stale_window
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
