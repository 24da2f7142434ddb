"""A board: a file of eight bytes by which the processes of a machine learn that somebody waits.

One tells of recalled leases, another of background jobs.
"""

import mmap
import os
import secrets
from pathlib import Path

_SIZE = 8


class Board:
    """One process's view of the board in a folder the processes share.

    Who waits writes a number nobody wrote before, so that no lock is needed: whoever looks sees
    that it is another one. A torn read is another one too, and costs one look too many.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, made where it is missing. Raises `OSError`."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, _SIZE)
            self._memory = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        self._seen = self._memory[:]

    def bump(self) -> None:
        """Tell all who look, this process too, that somebody waits."""
        self._memory[:] = secrets.token_bytes(_SIZE)

    def moved(self) -> bool:
        """Say whether somebody bumped since the last look."""
        now = self._memory[:]
        if now == self._seen:
            return False
        self._seen = now
        return True

    def close(self) -> None:
        """Let go of the file; the board is of no use afterwards."""
        self._memory.close()
