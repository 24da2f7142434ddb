"""Reading a journal that somebody may be writing, and taking over one whose worker is gone."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from meterway.ledger.journal import layout
from meterway.ledger.journal.layout import (
    CALLS_AT,
    END_MARK,
    HEADER,
    LENGTH,
    MAGIC,
    MAX_RECORD,
    SLOT,
    START,
)
from meterway.ledger.journal.types import Cursor

BEGINNING: Final = Cursor(1, START)
_BLOCK = 64 * 1024


class JournalReader:
    """One journal from a cursor on.

    Reading stops at the first record that is not whole. While the worker lives it may be in the
    middle of copying it, and a later reading finds it; when it is gone, that is the end. `block`
    is how many bytes are read at once, at least a record's `SLOT`.
    """

    def __init__(self, folder: Path, cursor: Cursor = BEGINNING, block: int = _BLOCK) -> None:
        self.folder = folder
        self.cursor = cursor
        self._size = block
        self._file: int | None = None
        self._number = 0
        self._lock: int | None = None

    @property
    def is_mine(self) -> bool:
        """Say whether the journal was taken over: nobody writes it any more."""
        return self._lock is not None

    def read(self, limit: int) -> list[bytes]:
        """Return records of `limit` calls, or as many as there are, and move behind them.

        The last record may tell of more calls than are left of `limit`. Raises `OSError` where the
        disk fails.
        """
        found: list[bytes] = []
        while limit > 0:
            before, block = self.cursor, self._block(self._size)
            limit = self._parse(block, limit, found)
            if self.cursor.segment == before.segment:
                taken = self.cursor.position - before.position
                if not taken or len(block) - taken >= SLOT:  # another one would have been in it
                    break
        return found

    @property
    def descriptor(self) -> int | None:
        """The open segment at the cursor."""
        return self._file if self._number == self.cursor.segment else None

    def is_there(self) -> bool:
        """Say whether the segment at the cursor is there, or open since it was."""
        if self._file is None or self._number != self.cursor.segment:
            self._open(self.cursor.segment)
        return self._file is not None

    def has_more(self) -> bool:
        """Say whether something was written behind the cursor, whole or not."""
        return any(self._block(HEADER.size))

    def back_to(self, cursor: Cursor) -> None:
        """Read from there again."""
        self.cursor = cursor

    def take_over(self) -> bool:
        """Try to hold the journal for good; False while its worker lives, paused or not.

        False as well where it is gone: its worker found no room and took it away.
        """
        if self._lock is None:
            with suppress(FileNotFoundError):
                self._lock = layout.lock(self.folder)
        return self._lock is not None

    def drop_posted(self, cursor: Cursor) -> None:
        """Delete the segments that lie wholly before `cursor`."""
        for number in range(cursor.segment - 1, 0, -1):
            try:
                layout.segment_path(self.folder, number).unlink()
            except FileNotFoundError:
                return

    def remove(self) -> None:
        """Delete a journal that was taken over."""
        shutil.rmtree(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of the journal."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            layout.unlock(self._lock)
            self._lock = None

    def _block(self, size: int) -> bytes:
        """Return what lies at the cursor; nothing where there is no such segment (yet)."""
        if not self.is_there():
            return b""
        assert self._file is not None
        return os.pread(self._file, size, self.cursor.position)

    def _open(self, number: int) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(FileNotFoundError):
            file = os.open(layout.segment_path(self.folder, number), os.O_RDONLY)
            if os.pread(file, START, 0) == MAGIC:
                self._file, self._number = file, number
            else:
                os.close(file)

    def _parse(self, block: bytes, limit: int, found: list[bytes]) -> int:
        """Take whole records off a block, at most up to the end of a segment.

        Returns how many calls are left of `limit`.
        """
        segment, start = self.cursor
        header, unpack = HEADER.size, HEADER.unpack_from
        at, last = 0, len(block) - header
        while limit > 0 and at <= last:
            size, crc = unpack(block, at)
            begin, length = at + header, size & LENGTH
            if not 0 < length <= MAX_RECORD:
                if block[at:begin] == END_MARK:
                    segment, start, at = segment + 1, START, 0
                break
            record = block[begin : begin + length]
            if crc32(record, size) != crc or len(record) != length:
                break
            at = begin + length
            limit -= (size >> CALLS_AT) + 1
            found.append(record)
        self.cursor = Cursor(segment, start + at)
        return limit
