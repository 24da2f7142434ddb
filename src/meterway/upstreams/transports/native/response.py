"""One response on its way: what has arrived and was not read yet, and who waits for more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from meterway.upstreams.errors import CutConnectionError, ReplyTooLargeError, TransportError
from meterway.upstreams.transport import Headers

HIGH_WATER = 128 * 1024


class Source(Protocol):
    """The connection a response comes from."""

    def resume(self) -> None:
        """Read on: the buffer was emptied."""

    def abort(self) -> None:
        """Close the connection now."""


class NativeResponse:
    """An upstream's answer; see `upstreams.transport.Response`.

    A wait for the next chunk may be cancelled without losing anything; whoever stops reading
    calls `close`. Once the last byte arrived the connection is back in the pool, whether or
    not the body was read. Not for two readers at once.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_reader",
        "_source",
        "_wake_at",
        "headers",
        "size",
        "status",
    )

    def __init__(self, status: int, headers: Headers, source: Source) -> None:
        self.status = status
        self.headers = headers
        self.size = 0  # bytes that arrived and were not read
        self._chunks: list[bytes] = []
        self._source: Source | None = source
        self._error: TransportError | None = None
        self._reader: asyncio.Future[None] | None = None

    # What the connection calls.

    def feed(self, data: bytes) -> int:
        """Take arrived bytes; return how many wait to be read."""
        self._chunks.append(data)
        self.size = size = self.size + len(data)
        if self._reader is not None and size >= self._wake_at:
            self._wake()
        return size

    def end(self, error: TransportError | None) -> None:
        """Nothing more will come; `error` says why where that is not the body's end."""
        self._source = None
        self._error = error
        if self._reader is not None:
            self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    # What the reader calls.

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate the body's chunks; chunks that arrived together come as one."""
        return self

    async def __anext__(self) -> bytes:
        """Return what has arrived, waiting for the first byte of it."""
        while not self._chunks:
            if self._source is None:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._more(1)
        return self._take()

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises `ReplyTooLargeError` over `limit` bytes."""
        if self._source is not None or self._error is not None:
            return await self._read_on(limit)
        if self.size > limit:
            raise _too_large(limit)
        return self._take()

    async def _read_on(self, limit: int) -> bytes:
        try:
            return await self._rest(limit)
        except BaseException:
            self.cut()
            raise

    async def _rest(self, limit: int) -> bytes:
        pieces, total = [], 0
        while True:
            total += self.size
            if total > limit:
                raise _too_large(limit)
            pieces.append(self._take())
            if self._source is None:
                break
            await self._more(min(HIGH_WATER + 1, limit - total + 1))
        if self._error is not None:
            raise self._error
        return b"".join(pieces)

    async def close(self) -> None:
        """Free the connection now, cutting what is still coming; safe to call twice."""
        self.cut()

    def cut(self) -> None:
        """Drop what was not read; close the connection where more is coming."""
        self._chunks.clear()
        self.size = 0
        source = self._source
        if source is not None:
            self.end(CutConnectionError("The response was closed before its end."))
            source.abort()

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self.size > HIGH_WATER and self._source is not None:
            self._source.resume()
        self.size = 0
        return data

    async def _more(self, wake_at: int) -> None:
        self._wake_at = wake_at
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader


def _too_large(limit: int) -> ReplyTooLargeError:
    return ReplyTooLargeError(f"The upstream's answer is over {limit} bytes.")
