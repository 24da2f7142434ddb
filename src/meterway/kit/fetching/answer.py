"""One answer to a GET over HTTP/1.1, read within bounds.

Follows RFC 9112 for message framing; the parsing itself is llhttp's (through httptools).
"""

import asyncio
from typing import Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from meterway.kit.fetching.errors import FetchError

_CHUNK = 64 * 1024
_HEAD_LIMIT = 64 * 1024
_HEADERS_LIMIT = 128
_FINAL = 200
_DIGITS = 19  # of a length that is still a number to the parser


class Room(Protocol):
    """Counts the bytes that are held in memory."""

    def take(self, size: int) -> None:
        """Count `size` more bytes. Raises a `MeterwayError` where they are too many."""

    def give(self, size: int) -> None:
        """Count `size` bytes less."""


class Answer:
    """An answer on its way from `reader`; its body has at most `limit` bytes, counted in `room`.

    Read `head`, then `body`; both raise `FetchError`. `held` is what the room counts for it.
    """

    def __init__(self, reader: asyncio.StreamReader, limit: int, room: Room) -> None:
        self.status = 0
        self.held = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._reader = reader
        self._limit = limit
        self._room = room
        self._parser = HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._size = 0
        self._came = 0  # bytes of any kind
        self._has_head = self._whole = False

    async def head(self) -> None:
        """Read on until status and headers are known."""
        while not self._has_head:
            if not await self._feed():
                raise _broken()
            if not self._has_head and self._came > _HEAD_LIMIT:
                raise _broken()
        size = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if len(self._headers) > _HEADERS_LIMIT or size > _HEAD_LIMIT:
            raise _broken()

    async def body(self) -> bytes:
        """Read on until the end, and return the body."""
        self._check_promises()
        while not self._whole:
            if not await self._feed():
                if self._is_framed():
                    raise FetchError("The server of this URL broke off in the middle.")
                break
        return b"".join(self._pieces)

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of `name`, a name in lower case; None where it is absent."""
        return next((value for known, value in self._headers if known == name), None)

    def _check_promises(self) -> None:
        """Refuse by the head alone what need not be read."""
        coding = self.header(b"content-encoding") or b"identity"
        if coding.strip().lower() != b"identity":
            raise FetchError("The server of this URL compresses, though asked not to.")
        length = self.header(b"content-length") or b"0"
        if len(length) > _DIGITS or not length.isdigit() or int(length) > self._limit:
            raise self._too_large()

    def _is_framed(self) -> bool:
        """Tell whether the body's end is said, instead of being the connection's."""
        chunked = self.header(b"transfer-encoding")
        return chunked is not None or self.header(b"content-length") is not None

    async def _feed(self) -> bool:
        """Parse what comes next; False at the end of the connection."""
        data = await self._read()
        if not data:
            return False
        before, self._came = self._size, self._came + len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise _broken() from None
        if self._size > self._limit or self._came > 2 * self._limit + _HEAD_LIMIT:
            raise self._too_large()
        if came := self._size - before:
            self._room.take(came)
            self.held += came
        return True

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_CHUNK)
        except OSError:
            raise FetchError("The server of this URL broke off in the middle.") from None

    def _too_large(self) -> FetchError:
        return FetchError(
            f"What this URL leads to is larger than the {self._limit} bytes that are fetched."
        )

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of the head; trailers are dropped."""
        if not self._has_head and len(self._headers) <= _HEADERS_LIMIT:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Keep the head, unless it was an interim one (1xx)."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            self._headers.clear()
            return
        self.status, self._has_head = status, True

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body; what is too much is dropped, and refused by `_feed`."""
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Hear that the body, if this is not an interim head, is whole."""
        self._whole = self._has_head


def _broken() -> FetchError:
    return FetchError("The server of this URL does not answer in proper HTTP.")
