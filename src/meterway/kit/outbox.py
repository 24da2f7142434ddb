"""Gathers what one turn of the event loop writes to sockets, and writes it together."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

Pieces: TypeAlias = bytes | Sequence[bytes]  # joined only by the system

_MOST = 256 * 1024


class Outbox:
    """Writes what was posted at the end of the loop's turn, at most `most` bytes later.

    `before` is called before anything is written.

    A system call between two steps of Python leaves the caches cold for the second, and each
    write wakes whoever reads at the other end: one after the other they cost a third less of a
    busy worker's time than scattered over the turn. An idle one waits for nobody.

    Who writes to a transport past the outbox, ends or closes it, calls `flush` before; an
    aborted one needs nothing.
    """

    __slots__ = ("_before", "_most", "_posted", "_size")

    def __init__(self, most: int = _MOST, before: Callable[[], None] | None = None) -> None:
        self._before = before
        self._most = most
        self._posted: list[tuple[asyncio.WriteTransport, Pieces]] = []
        self._size = 0

    def post(self, transport: asyncio.WriteTransport, data: Pieces) -> None:
        """Have `data` written within this turn; what is posted first is written first."""
        posted = self._posted
        if not posted:
            asyncio.get_running_loop().call_soon(self.flush)
        posted.append((transport, data))
        self._size += len(data) if isinstance(data, bytes) else sum(map(len, data))
        if self._size > self._most:
            self.flush()

    def flush(self) -> None:
        """Write everything now, except to transports that closed meanwhile."""
        posted, self._posted, self._size = self._posted, [], 0
        if posted and self._before is not None:
            self._before()
        for transport, data in posted:
            if transport.is_closing():
                continue
            if isinstance(data, bytes):
                transport.write(data)
            else:
                transport.writelines(data)
