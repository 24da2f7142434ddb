"""The seam on reqwest (through pyreqwest): for calls through a proxy, and for HTTP/2."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from pyreqwest import exceptions as reqwest
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as ReqwestReply

from meterway.upstreams.errors import (
    ConnectError,
    ConnectTimeoutError,
    CutConnectionError,
    FirstByteTimeoutError,
    IdleTimeoutError,
    ProtocolError,
    ReplyTooLargeError,
    TransportError,
)
from meterway.upstreams.transport import Headers, Outgoing, Response, Url
from meterway.upstreams.transports.decoding import DECODED_LIMIT, coding_of, plain
from meterway.upstreams.transports.heads import (
    HEAD_LIMIT,
    HEADERS_LIMIT,
    authority,
    check_headers,
    check_method,
    line_end,
)

_CLIENTS_LIMIT = 16
_MAX_IDLE = 256
_FINAL = 200
_IDENTITY = ("accept-encoding", "identity")
_NO_BODY = ("content-length", "0")
_CONNECTING = ("client error (connect)", "dns error", "proxy", "tunnel", "certificate")
_LOST = ("closed before message completed", "eof", "end of file", "reset", "broken pipe", "closed")


class ReqwestTransport:
    """Carries requests over reqwest, all through `proxy` (an http, https or socks5 URL) if given.

    `ca_file` names a PEM file trusted besides the system store. The connect timeout is a
    property of reqwest's client, so one client is kept for each value asked for; the first-byte
    timeout counts from the start of the call, connecting included.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        http2: bool = False,
        keep_idle: float = 30.0,
        decoded_limit: int = DECODED_LIMIT,
    ) -> None:
        self._proxy = proxy
        self._ca = Path(ca_file).read_bytes() if ca_file else None
        self._http2 = http2
        self._keep_idle = timedelta(seconds=keep_idle)
        self._decoded_limit = decoded_limit
        self._clients: dict[float, Client] = {}
        self._closed = False

    async def send(self, request: Outgoing) -> Response:
        """Send `request`; return once status and headers came.

        Raises a `TransportError` when the exchange breaks and `ValueError` for a request that
        cannot be sent as HTTP. A cancelled call frees its connection.
        """
        if self._closed:
            raise ConnectError("The transport was closed.")
        sent = self._build(request)
        limit = request.timeouts.first_byte
        try:
            async with asyncio.timeout(limit):
                reply = await sent.__aenter__()
        except reqwest.PyreqwestError as error:
            raise _translated(error, _where(request.url)) from None
        except TimeoutError:
            raise FirstByteTimeoutError(
                f"The upstream did not begin to answer within {limit:g} s."
            ) from None
        try:
            response = ReqwestResponse(sent, reply, request.timeouts.idle)
        except BaseException:
            await _leave(sent)
            raise
        if coding_of(response.headers):
            return await plain(response, self._decoded_limit)
        return response

    async def close(self) -> None:
        """Close every connection; what is under way ends with an error."""
        self._closed = True
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    def _build(self, request: Outgoing) -> StreamRequest:
        check_headers(request.headers)
        line_end(request.url)
        headers = [(name.decode(), value.decode()) for name, value in request.headers]
        if not any(name == "accept-encoding" for name, _ in headers):
            headers.append(_IDENTITY)
        if not request.body and request.method in {"POST", "PUT", "PATCH"}:
            headers.append(_NO_BODY)  # reqwest leaves the length out here
        builder = self._client(request.timeouts.connect).request(
            check_method(request.method).decode(), _text(request.url)
        )
        builder = builder.headers(headers).streamed_read_buffer_limit(0)
        if request.body:
            builder = builder.body_bytes(request.body)
        return builder.build_streamed()

    def _client(self, connect: float) -> Client:
        client = self._clients.get(connect)
        if client is None:
            if len(self._clients) >= _CLIENTS_LIMIT:  # calls under way keep theirs alive
                self._clients.pop(next(iter(self._clients)))
            client = self._clients[connect] = self._open(connect)
        return client

    def _open(self, connect: float) -> Client:
        builder = (
            ClientBuilder()
            .runtime_multithreaded(enable=False)
            .connect_timeout(timedelta(seconds=connect))
            .pool_idle_timeout(self._keep_idle)
            .pool_max_idle_per_host(_MAX_IDLE)
            .follow_redirects(enable=False)
            .referer(enable=False)
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .http2(enable=self._http2)
            .http1_lower_case_headers()
            .user_agent("meterway")
            .no_proxy()
        )
        if self._ca is not None:
            builder = builder.add_root_certificate_pem(self._ca)
        if self._proxy is not None:
            builder = builder.proxy(ProxyBuilder.all(self._proxy))
        return builder.build()


class ReqwestResponse:
    """An answer that comes through reqwest; see `upstreams.transport.Response`."""

    __slots__ = ("_idle", "_open", "_reader", "_sent", "headers", "status")

    def __init__(self, sent: StreamRequest, reply: ReqwestReply, idle: float) -> None:
        self.status = reply.status
        self.headers: Headers = _headers(reply)
        if self.status < _FINAL:
            raise ProtocolError("The upstream wants to leave HTTP, which nobody asked for.")
        self._sent = sent
        self._reader = reply.body_reader
        self._idle = idle
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate the body's chunks as they arrive."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk, waiting for it."""
        chunk = b""
        while not chunk:
            if not self._open:
                raise StopAsyncIteration
            try:
                chunk = await self._next()
            except TransportError:
                await self.close()
                raise
        return chunk

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle):
                chunk = await self._reader.read_chunk()
        except reqwest.PyreqwestError as error:
            raise _translated(error, "the upstream") from None
        except TimeoutError:
            raise IdleTimeoutError(
                f"The upstream fell silent for {self._idle:g} s in its answer."
            ) from None
        if chunk is None:
            await self.close()
            return b""
        return bytes(chunk)

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises `ReplyTooLargeError` over `limit` bytes."""
        try:
            return await self._whole(limit)
        except BaseException:
            await self.close()
            raise

    async def _whole(self, limit: int) -> bytes:
        pieces, total = [], 0
        async for chunk in self:
            total += len(chunk)
            if total > limit:
                raise ReplyTooLargeError(f"The upstream's answer is over {limit} bytes.")
            pieces.append(chunk)
        return b"".join(pieces)

    async def close(self) -> None:
        """Free the connection now; safe to call twice."""
        if self._open:
            self._open = False
            await _leave(self._sent)


async def _leave(sent: StreamRequest) -> None:
    await sent.__aexit__(None, None, None)


def _where(url: Url) -> str:
    return f"{url.host}:{url.port}"


def _text(url: Url) -> str:
    return f"{url.scheme}://{authority(url)}{url.target}"


def _headers(reply: ReqwestReply) -> Headers:
    try:
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    except ValueError:
        raise ProtocolError("The upstream sent a header that is not text.") from None
    if len(headers) > HEADERS_LIMIT:
        raise ProtocolError(f"The upstream sent over {HEADERS_LIMIT} headers.")
    if sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_LIMIT:
        raise ProtocolError(f"The upstream sent a head of over {HEAD_LIMIT} bytes.")
    return headers


def _translated(error: reqwest.PyreqwestError, where: str) -> TransportError:
    """Tell reqwest's error in our words; its chain of causes says what its class does not."""
    causes = _causes(error)
    if isinstance(error, reqwest.ConnectTimeoutError):
        return ConnectTimeoutError(f"No connection to {where} in time.")
    if isinstance(error, reqwest.ClientClosedError):
        return CutConnectionError("The connection to the upstream was closed.")
    if any(sign in causes for sign in _CONNECTING):
        return ConnectError(f"No connection to {where}: {causes.rpartition('; ')[2]}.")
    if isinstance(error, reqwest.NetworkError) or any(sign in causes for sign in _LOST):
        return CutConnectionError("The upstream closed the connection before its answer ended.")
    return ProtocolError(f"The upstream's answer is not valid HTTP: {causes.rpartition('; ')[2]}.")


def _causes(error: reqwest.PyreqwestError) -> str:
    if not isinstance(error, reqwest.DetailedPyreqwestError):
        return error.message.lower()
    causes = [cause["message"] for cause in error.details["causes"] or []]
    return "; ".join(c for c in causes if " for url " not in c).lower() or error.message.lower()
