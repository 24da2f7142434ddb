"""How a journal lies on the disk: its folder, its lock, its segments, the form of a record.

A segment opens with `MAGIC`. A record is its size and its CRC, four bytes each in little endian,
then itself. The size is its length, and in the upper half how many calls beyond one it tells of. A
size of nothing ends what was written so far; `END_MARK` sends the reader to the next segment. The
CRC begins with the size, so that it covers both.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

MAGIC: Final = b"MWJRNL\x00\x01"
START: Final = len(MAGIC)
HEADER: Final = Struct("<II")
END_MARK: Final = b"\xff" * HEADER.size
MAX_RECORD: Final = 8192
SLOT: Final = HEADER.size + MAX_RECORD
"""The most bytes a record may take, its header included."""

CALLS_AT: Final = 16
"""The bits of a size below those that count calls."""

LENGTH: Final = 2**CALLS_AT - 1
"""The bits of a size that are the record's length."""

MOST_CALLS: Final = 2**15
"""The most calls in a record."""

to_disk: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Bring a file, by its descriptor, to the disk. Raises `OSError` where that fails."""

_LOCK: Final = "lock"
_held: set[int] = set()


def framed(record: bytes, calls: int = 1) -> bytes:
    """Return a record of so many calls with its header.

    Raises `ValueError` for one of no or too many bytes or calls.
    """
    length = len(record)
    if not (0 < length <= MAX_RECORD and 0 < calls <= MOST_CALLS):
        message = f"a record has between 1 and {MAX_RECORD} bytes, not {length} of {calls} calls"
        raise ValueError(message)
    size = length | (calls - 1) << CALLS_AT
    return HEADER.pack(size, crc32(record, size)) + record


def segment_path(folder: Path, number: int) -> Path:
    """Name a segment of a journal."""
    return folder / f"{number:08d}.segment"


def lock(folder: Path) -> int | None:
    """Lock a journal; return what to `unlock`, None where its process lives.

    The kernel frees the lock when this process ends. Raises `OSError` where there is no journal.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    _held.add(descriptor)
    return descriptor


def unlock(descriptor: int) -> None:
    """Free a lock; nothing happens where a fork freed it."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """Close a forked child's copies: a lock lives as long as any copy of its descriptor."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
