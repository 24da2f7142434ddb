"""Server-sent events: an incremental parser and the bytes of one event.

Follows the WHATWG HTML standard, section 9.2 (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import re
from typing import NamedTuple

from meterway.kit.errors import MeterwayError

COMMENT = b": keep-alive\n\n"
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n")
_LONGEST_END = 4
_LINE = re.compile(rb"\r\n|\n|\r")


class EventTooLongError(MeterwayError):
    """An upstream sent one event that is longer than the limit."""

    status, code = 502, "upstream_event_too_long"


class Event(NamedTuple):
    """One dispatched event: its name (empty when unnamed) and its data lines joined by newlines."""

    name: bytes
    data: bytes


class Splitter:
    """Cuts a byte stream into whole event blocks, keeping only the unfinished tail in memory.

    `feed` returns the blocks that are complete, each with its blank line, so that they can be
    forwarded byte for byte. A tail over `limit` bytes raises `EventTooLongError`.
    """

    __slots__ = ("_limit", "_tail")

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        self._tail = bytearray()
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the blocks completed by them."""
        data = self._joined(chunk) if self._tail else chunk
        if data.endswith(b"\n\n") and b"\r" not in data:
            if data.find(b"\n\n") == len(data) - 2:  # the usual case: one event a chunk
                return [data]
            return [block + b"\n\n" for block in data[:-2].split(b"\n\n")]
        return self._feed_slowly(data)

    def _joined(self, chunk: bytes) -> bytes:
        """Return the tail with `chunk`; nothing as long as no event ends in them.

        Only what is new is searched: a long event in small chunks costs no more than its length.
        """
        tail = self._tail
        fresh = max(len(tail) - _LONGEST_END + 1, 0)
        tail += chunk
        if len(tail) <= self._limit and _END.search(tail, fresh) is None:
            return b""
        self._tail = bytearray()
        return bytes(tail)

    def _feed_slowly(self, data: bytes) -> list[bytes]:
        blocks, start = [], 0
        for end in _END.finditer(data):
            if end.end() == len(data) and data.endswith(b"\r"):
                break  # the line feed of this carriage return may still come
            blocks.append(data[start : end.end()])
            start = end.end()
        self._tail += data[start:]
        if len(self._tail) > self._limit:
            message = f"The upstream sent an event of more than {self._limit} bytes."
            raise EventTooLongError(message)
        return blocks

    def rest(self) -> bytes:
        """Return the unfinished tail: what the stream ended with, if it was cut."""
        return bytes(self._tail)


def parse(block: bytes) -> Event | None:
    """Read one block; None where it has no data (comments, bare ids, retry hints)."""
    if (
        block.startswith(b"data: ")
        and block.endswith(b"\n\n")
        and block.find(b"\n") == len(block) - 2
    ):
        return Event(b"", block[6:-2])
    if block.startswith(b"event: ") and block.endswith(b"\n\n"):
        second = block.find(b"\n") + 1
        if block.startswith(b"data: ", second) and block.find(b"\n", second) == len(block) - 2:
            return Event(block[7 : second - 1], block[second + 6 : -2])
    name, data = b"", []
    for line in _LINE.split(block.removeprefix(b"\xef\xbb\xbf")):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(data)) if data else None


def render(data: bytes, name: bytes = b"") -> bytes:
    """Return the bytes of one event; `data` holds no raw newline (JSON never does)."""
    if name:
        return b"event: " + name + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
