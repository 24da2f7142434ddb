"""The transport seam: one method that sends a request and yields a response.

Everything above it is tested with fakes of these few lines; every implementation passes one
conformance suite. Names of headers are lower-case.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from meterway.upstreams.types import Timeouts

Headers = Sequence[tuple[bytes, bytes]]


class Url(msgspec.Struct, frozen=True, cache_hash=True):
    """An absolute http(s) address, parsed once; `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Read `text`. Raises `ValueError` where it is not an absolute http(s) URL."""
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"{text!r} is not an absolute http:// or https:// address"
            raise ValueError(message)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, port, target)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an upstream: body whole, length known; the transport adds host and length.

    `dropped` names fields of the caller's that were left out because the provider refuses them.
    """

    url: Url
    headers: Headers
    body: bytes
    method: str = "POST"
    timeouts: Timeouts = Timeouts()
    dropped: tuple[str, ...] = ()


class Response(Protocol):
    """An upstream's answer. Iterate its body once, or `close` it; both free the connection.

    Chunks come as they arrive, never empty, decoded from chunked framing. When the peer ends
    early, iteration raises `CutConnectionError`; when it is silent, `IdleTimeoutError`.
    A cancelled wait for a chunk loses nothing and may be repeated; who stops reading, closes.
    """

    status: int
    headers: Headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate the body's chunks."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises `ReplyTooLargeError` over `limit` bytes."""

    async def close(self) -> None:
        """Free the connection now, cutting what is still coming; safe to call twice."""


class Transport(Protocol):
    """Something that can carry a request to an upstream."""

    async def send(self, request: Outgoing) -> Response:
        """Send `request`; return once status and headers came.

        Raises a `TransportError` (see `upstreams.errors`). A cancelled call frees its connection.
        """

    async def close(self) -> None:
        """Close every connection."""
