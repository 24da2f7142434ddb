"""Background tasks that shutdown waits for and whose failures are seen."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import structlog

from meterway.kit.errors import MeterwayError

_log = structlog.get_logger()
T = TypeVar("T")


class Tasks:
    """The background tasks of one process."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start `work`; a failure is logged as `task.failed` with the task's name."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def unbroken(self, work: Coroutine[Any, Any, T], *, name: str) -> T:
        """Do `work`, to its end even where who waits for it is cancelled meanwhile.

        The connection to the database is not cut in the middle of an answer so. Raises what
        `work` raises.
        """
        value, error = await asyncio.shield(self.spawn(_outcome(work), name=name))
        if error is not None:
            raise error
        return cast("T", value)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("task.failed", task=task.get_name(), exc_info=error)

    async def drain(self) -> None:
        """Wait until every task that was spawned has ended."""
        while self._running:
            await asyncio.wait(self._running)

    async def cancel(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in self._running:
            task.cancel()
        await self.drain()


async def _outcome(work: Coroutine[Any, Any, T]) -> tuple[T | None, MeterwayError | None]:
    """Return what is raised on purpose, which is no failure of a task."""
    try:
        return await work, None
    except MeterwayError as error:
        return None, error
