"""Many who wait for the disk, and one writing to it at a time that serves them all."""

import asyncio
from collections.abc import Awaitable, Callable

from meterway.kit.tasks import Tasks


class GroupCommit:
    """Lets callers of one event loop wait until what they wrote is on the disk.

    `sync` brings there all that was written before it began; it runs once at a time. Whoever
    comes while it runs waits for the next one, together with all who come until that begins.
    """

    def __init__(self, sync: Callable[[], Awaitable[None]], tasks: Tasks) -> None:
        self._sync = sync
        self._tasks = tasks
        self._next: asyncio.Future[None] | None = None
        self._running = False

    async def wait(self) -> None:
        """Wait for a `sync` that begins after this call; what it raises is its own to tell."""
        group = self._next
        if group is None:
            group = self._next = asyncio.get_running_loop().create_future()
            if not self._running:
                self._running = True
                self._tasks.spawn(self._run(), name="journal.commit")
        await asyncio.shield(group)

    async def _run(self) -> None:
        try:
            while (group := self._next) is not None:
                self._next = None
                try:
                    await self._sync()
                finally:
                    if not group.done():
                        group.set_result(None)
        finally:
            self._running = False
            if (group := self._next) is not None:  # we were cancelled: nobody serves them any more
                self._next = None
                group.cancel()
