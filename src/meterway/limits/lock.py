"""The lock under which the workers of a machine decide together.

It is one `flock`: the kernel frees it when its holder dies, and a whole decision takes a few
microseconds. A holder that was stopped in the middle would stop everybody, so those who cannot
get the lock for very long go on without it.
"""

import fcntl
import os
from functools import partial

PATIENCE = 20_000  # tries at the lock before its holder counts as stopped: tens of milliseconds
_IMPATIENCE = 50  # tries while it does


class Lock:
    """The lock of an open file; where one process is `alone` it asks the kernel nothing."""

    def __init__(self, file: int, *, patience: int, alone: bool) -> None:
        self._lock = partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._unlock = partial(fcntl.flock, file, fcntl.LOCK_UN)
        self._patience = self._tries = patience
        self._alone = alone

    def enter(self) -> bool:
        """Take the lock; False means that its holder seems stopped, and to go on without."""
        if self._alone:
            return True
        try:
            self._lock()
        except BlockingIOError:
            return self._queue()
        return True

    def leave(self) -> None:
        """Let go of the lock, which must be held."""
        if not self._alone:
            self._unlock()

    def _queue(self) -> bool:
        """Try again and again, letting others run; be impatient with a holder that seems stopped.

        Each holder keeps the lock for microseconds, so one that lives lets somebody in between.
        """
        for _ in range(self._tries):
            os.sched_yield()
            try:
                self._lock()
            except BlockingIOError:
                continue
            self._tries = self._patience
            return True
        self._tries = min(_IMPATIENCE, self._patience)
        return False
