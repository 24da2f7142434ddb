"""Undoing a request's content-encoding, never to more than a stated size."""

import asyncio
import zlib
from collections.abc import Iterator

from meterway.kit.errors import InvalidRequestError, MeterwayError, TooLargeError

_PIECE = 1024 * 1024
_SLICE = 16 * 1024  # compressed bytes looked at at a time: what a member leaves over is copied
_MEMBERS = 4096  # of gzip; the tools that write many put 64 KiB into each
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_PLAIN = frozenset({"", "identity"})
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})


class UnsupportedEncodingError(MeterwayError):
    """The request body is compressed in a way that is not accepted."""

    status, code = 415, "unsupported_content_encoding"


async def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Return `body` without its content-encoding; other tasks run between pieces of 1 MiB.

    `encoding` is the header's value (RFC 9110, section 8.4.1). Raises `UnsupportedEncodingError`,
    `TooLargeError` over `limit` bytes, and `InvalidRequestError` where the data is broken.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return body
    if name not in _GZIP_NAMES and name != "deflate":
        raise UnsupportedEncodingError(
            f"The content-encoding '{name[:40]}' is not accepted; send gzip, deflate or identity."
        )
    pieces, size = [], 0
    try:
        for piece in _pieces(body, name):
            size += len(piece)
            if size > limit:
                raise TooLargeError(f"The request body unpacks to more than {limit} bytes.")
            pieces.append(piece)
            if size >= _PIECE:
                await asyncio.sleep(0)
    except (zlib.error, EOFError):
        raise InvalidRequestError(f"The request body is not valid {name} data.") from None
    return b"".join(pieces)


def _pieces(body: bytes, name: str) -> Iterator[bytes]:
    """Yield unpacked pieces; gzip may have several members. Raises `EOFError` when cut."""
    machine = zlib.decompressobj(_window(name, body))
    members = 1
    for start in range(0, len(body), _SLICE):
        pending = body[start : start + _SLICE]
        while pending:
            if machine.eof:
                if name == "deflate":
                    return
                machine, members = zlib.decompressobj(_GZIP), members + 1
                if members > _MEMBERS:
                    raise InvalidRequestError("The request body has too many gzip members.")
            yield machine.decompress(pending, _PIECE)
            pending = machine.unconsumed_tail or machine.unused_data
    while not machine.eof:
        piece = machine.decompress(b"", _PIECE)
        if not piece:
            raise EOFError
        yield piece


def _window(name: str, data: bytes) -> int:
    """Choose zlib's format: "deflate" means zlib's by the standard, bare deflate in practice."""
    if name != "deflate":
        return _GZIP
    zlib_header = len(data) > 1 and data[0] & 0x0F == zlib.DEFLATED
    return _ZLIB if zlib_header and int.from_bytes(data[:2], "big") % 31 == 0 else _RAW
