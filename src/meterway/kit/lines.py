"""Log lines in bulk: collected in memory and written together a moment later.

For events that every call makes: the system call and the formatting of one line through the
ordinary log would cost more than the rest of the call.
"""

import asyncio
from typing import IO

_DELAY = 0.2
_MOST = 256


class Lines:
    """Collects whole lines for `out`; they are written within 0.2 s, in order.

    `flush` writes at once and belongs at the end of a process; kill -9 loses what was not yet
    written, so nothing that must survive goes here.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Take one line, without its newline. Needs a running event loop."""
        self._lines.append(line)
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        elif len(self._lines) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._out.write(b"\n".join(lines) + b"\n")
            self._out.flush()
