"""The journal of one worker's life: ended calls, on disk before their last byte leaves."""

import asyncio
import mmap
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meterway.ledger.journal import layout
from meterway.ledger.journal.errors import JournalFullError, JournalTakenError
from meterway.ledger.journal.layout import END_MARK, MAGIC, SLOT, START

SEGMENT_BYTES: Final = 8 * 1024 * 1024

Allocate = Callable[[int, int, int], None]
"""Gives a file (descriptor) real blocks from a position on, as `os.posix_fallocate` does."""


def _zeroed(descriptor: int, position: int, length: int) -> None:
    """Do what `posix_fallocate` does where the system lacks it."""
    written = 0
    while written < length:
        written += os.pwrite(descriptor, bytes(length - written), position + written)


_ALLOCATE: Allocate = getattr(os, "posix_fallocate", _zeroed)


class _Segment:
    """A file of a fixed size with all its blocks, mapped into memory."""

    def __init__(self, path: Path, size: int, allocate: Allocate) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            allocate(self.descriptor, 0, size)
            self.bytes = mmap.mmap(self.descriptor, size)
        except BaseException:
            path.unlink()
            os.close(self.descriptor)
            raise
        self.bytes[:START] = MAGIC

    def close(self) -> None:
        if not self.bytes.closed:
            self.bytes.close()
            os.close(self.descriptor)


class Journal:
    """Room for the records of calls, and the records.

    A call reserves the room for its record before it costs anything, and writes or releases
    later, so that a full disk is known in time. Written bytes survive the process at once, and
    the machine after `sync`. All methods but `sync`'s own thread belong to one thread. The
    folder is locked until `close` or the end of the process; forked children do not hold it.
    """

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str,
        segment_bytes: int = SEGMENT_BYTES,
        allocate: Allocate = _ALLOCATE,
    ) -> "Journal":
        """Make the journal `name` in the folder of all journals.

        It appears under its name with its lock held; where that fails nothing stays. Raises
        `JournalTakenError` and `JournalFullError`.
        """
        final, draft = folder / name, folder / f".{name}.{os.getpid()}"
        if final.exists():
            raise JournalTakenError(f"There is a journal {name} already.")
        lock = None
        try:
            draft.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = layout.lock(draft)
            assert lock is not None, "the draft's name is this process's alone"
            draft.rename(final)
            return cls(final, lock, segment_bytes, allocate)
        except OSError as error:
            for folder_ in (final, draft):
                shutil.rmtree(folder_, ignore_errors=True)
            if lock is not None:
                layout.unlock(lock)
            raise JournalFullError.of(error) from error

    def __init__(self, folder: Path, lock: int, size: int, allocate: Allocate) -> None:
        if size < START + SLOT + len(END_MARK):
            message = f"a segment of {size} bytes holds no record"
            raise ValueError(message)
        self.name = folder.name
        self._folder, self._lock = folder, lock
        self._size, self._allocate = size, allocate
        self._end = size - len(END_MARK)
        self._per_segment = (self._end - START) // SLOT
        self._number = 0
        self._growing = threading.Lock()
        self._spares: deque[_Segment] = deque()
        self._ended: list[_Segment] = []
        self._written = False
        self._reserved = 0
        self._position = START
        try:
            self._grow(2)
        except OSError:
            for segment in self._spares:
                segment.close()
            raise
        self._use(self._spares.popleft())

    @property
    def dirty(self) -> bool:
        """Say whether there is something for `sync` to do."""
        return self._written or not self._spares

    @property
    def is_short(self) -> bool:
        """Say whether there is something for `prepare` to do."""
        return not self._spares or bool(self._ended)

    def reserve(self) -> None:
        """Keep room for one record. Raises `JournalFullError` with a `retry_after`."""
        if self._reserved >= self._slots:
            try:
                self._grow(len(self._spares) + 1)
            except OSError as error:
                raise JournalFullError.of(error) from error
            self._count()
        self._reserved += 1

    def release(self) -> None:
        """Give back the room of a call that needs no record."""
        self._reserved -= 1

    def write(self, record: bytes, calls: int = 1) -> None:
        """Write the record of one or more calls into room that each reserved; it is used up.

        Raises `ValueError` for a record of no or too many bytes.
        """
        data = layout.framed(record, calls)
        after = self._position + len(data)
        if after > self._end:
            self._next()
            after = self._position + len(data)
        self._bytes[self._position : after] = data
        self._position = after
        self._reserved -= calls
        self._written = True
        self._slots = (self._end - after) // SLOT + self._spare_slots

    async def sync(self) -> None:
        """Bring to the disk what was written so far, and have the next segment ready.

        Raises `OSError` where the disk fails.
        """
        self._written = False
        ended, self._ended = self._ended, []
        current = self._current.descriptor
        try:
            await asyncio.to_thread(self._sync, [*(one.descriptor for one in ended), current])
        except BaseException:
            self._written = True
            self._ended = ended + self._ended
            raise
        self._count()
        for one in ended:
            one.close()

    async def prepare(self) -> None:
        """Have the next segment ready, and let go of those that are full: who syncs opens them."""
        ended, self._ended = self._ended, []
        for one in ended:
            one.close()
        if not self._spares:
            await asyncio.to_thread(self._provide)
            self._count()

    def close(self) -> None:
        """End the journal: what it leased is given back once it is posted.

        Closing again does nothing.
        """
        for segment in (*self._ended, self._current, *self._spares):
            segment.close()
        layout.unlock(self._lock)

    def _sync(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            layout.to_disk(descriptor)
        self._provide()

    def _provide(self) -> None:
        if not self._spares:
            try:
                self._grow(1)
            except OSError:
                return  # the next call that needs the room tells

    def _grow(self, spares: int) -> None:
        """Have so many spare segments, one thread at a time."""
        with self._growing:
            while len(self._spares) < spares:
                path = layout.segment_path(self._folder, self._number + 1)
                segment = _Segment(path, self._size, self._allocate)
                self._number += 1
                self._spares.append(segment)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # a new file's name is on the disk no sooner
        finally:
            os.close(folder)

    def _next(self) -> None:
        """Go on in the next segment; the reservation saw to there being one."""
        following = self._spares.popleft()
        self._bytes[self._position : self._position + len(END_MARK)] = END_MARK
        self._ended.append(self._current)
        self._use(following)

    def _use(self, segment: _Segment) -> None:
        self._current, self._bytes, self._position = segment, segment.bytes, START
        self._count()

    def _count(self) -> None:
        """Count how many of the longest records fit, without moving any."""
        self._spare_slots = self._per_segment * len(self._spares)
        self._slots = (self._end - self._position) // SLOT + self._spare_slots
