"""How the chunks of a stream follow each other: as server-sent events, or as one JSON array.

`streamGenerateContent` sends the first with `?alt=sse` and the second without, see
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent. Upstreams are
always asked for events.
"""

from typing import Protocol

from meterway.kit import sse

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Framing(Protocol):
    """Frames the chunks of one stream; state lives for that one stream."""

    def chunk(self, data: bytes) -> bytes:
        """Return the bytes of one more chunk."""

    def close(self) -> bytes:
        """Return the bytes of the stream's end."""


class Events:
    """Server-sent events, which need no beginning and no end."""

    def chunk(self, data: bytes) -> bytes:
        """Return one event; line breaks, which JSON has between its tokens alone, would end it."""
        return sse.render(data.translate(_ONE_LINE))

    def close(self) -> bytes:
        """Return nothing."""
        return b""


class Array:
    """The elements of a JSON array, one a line."""

    def __init__(self, *, began: bool = False) -> None:
        self._began = began
        self._closed = False

    def chunk(self, data: bytes) -> bytes:
        """Return one element, behind the bracket or the comma it needs."""
        before, self._began = (b",\n" if self._began else b"["), True
        return before + data

    def close(self) -> bytes:
        """Return the bracket at the end, once."""
        if self._closed:
            return b""
        self._closed = True
        return b"]\n" if self._began else b"[]\n"
