"""A response whose body an upstream compressed unasked, decoded with bounded output.

We ask for `identity`; some servers compress all the same. gzip and deflate (RFC 9110 section
8.4.1) are decoded, at most `PIECE` bytes at a time, so that a bomb never sits in memory.
"""

import zlib
from collections.abc import AsyncIterator

from meterway.upstreams.errors import CutConnectionError, ProtocolError, ReplyTooLargeError
from meterway.upstreams.transport import Headers, Response

PIECE = 64 * 1024
DECODED_LIMIT = 64 * 1024 * 1024
_MEMBERS = 4096  # of gzip; empty ones would cost time without end and yield nothing
_EITHER_WRAPPER = zlib.MAX_WBITS | 32  # zlib finds out by itself whether gzip or zlib wraps it
_DECODABLE = frozenset({b"gzip", b"x-gzip", b"deflate"})
_GONE = frozenset({b"content-encoding", b"content-length"})


def coding_of(headers: Headers) -> bytes:
    """Return the content codings in lower case, empty where the body is plain."""
    for name, value in headers:
        if name == b"content-encoding":
            codings = b",".join(v for n, v in headers if n == name) if value else b""
            coding = codings.strip().lower()
            return b"" if coding == b"identity" else coding
    return b""


async def plain(response: Response, limit: int = DECODED_LIMIT) -> Response:
    """Return `response` itself, or one that decodes it where it came compressed.

    Raises `ProtocolError`, with the connection freed, for a coding that nobody asked for and
    we cannot undo.
    """
    coding = coding_of(response.headers)
    if not coding:
        return response
    if coding not in _DECODABLE:
        await response.close()
        shown = coding[:40].decode("latin-1")
        raise ProtocolError(f"The upstream compressed its answer unasked, as {shown!r}.")
    return DecodedResponse(response, limit)


class DecodedResponse:
    """The decoded face of a compressed response; over `limit` bytes it is a `ProtocolError`."""

    __slots__ = ("_decoder", "_inner", "_left", "_members", "headers", "status")

    def __init__(self, inner: Response, limit: int) -> None:
        self._inner = inner
        self._decoder = zlib.decompressobj(_EITHER_WRAPPER)
        self._left = limit
        self._members = 1
        self.status = inner.status
        self.headers: Headers = [pair for pair in inner.headers if pair[0] not in _GONE]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate the decoded body, in pieces of at most `PIECE` bytes."""
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        begun = False
        async for chunk in self._inner:
            begun = True
            data = chunk
            while data:
                piece, data = await self._step(data)
                if piece:
                    yield piece
        if begun and not self._decoder.eof:
            raise CutConnectionError("The upstream's compressed answer ended in the middle.")

    async def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """Decode one piece of `data`; return it and what is left to decode."""
        if self._decoder.eof:  # gzip allows one member after the other
            self._decoder = zlib.decompressobj(_EITHER_WRAPPER)
            self._members += 1
        try:
            piece = self._decoder.decompress(data, PIECE)
        except zlib.error:
            await self.close()
            raise ProtocolError("The upstream's compressed answer cannot be decoded.") from None
        self._left -= len(piece)
        if self._left < 0 or self._members > _MEMBERS:
            await self.close()
            raise ProtocolError("The upstream's compressed answer is over a limit once decoded.")
        return piece, self._decoder.unconsumed_tail or self._decoder.unused_data

    async def read(self, limit: int) -> bytes:
        """Return the whole decoded body. Raises `ReplyTooLargeError` over `limit` bytes."""
        try:
            return await self._whole(limit)
        except BaseException:
            await self.close()
            raise

    async def _whole(self, limit: int) -> bytes:
        pieces, total = [], 0
        async for piece in self._pieces():
            total += len(piece)
            if total > limit:
                raise ReplyTooLargeError(f"The upstream's answer is over {limit} bytes.")
            pieces.append(piece)
        return b"".join(pieces)

    async def close(self) -> None:
        """Free the connection now; safe to call twice."""
        await self._inner.close()
