"""What the backstage process does of background jobs: it looks for them, and has a crew make them.

Looking costs one small query: when a worker of this machine queued a job, while any is not done,
and once a second, for those of other machines. The crew, with all that carries calls, is made when
the first job comes: a backstage process that never sees one pays for no relay, journal and prices.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.db.engine import reading
from meterway.jobs import service as jobs
from meterway.kit.clock import Clock
from meterway.ledger.budgets.board import Board

if TYPE_CHECKING:  # it is all that carries calls
    from meterway.processes.crew import Crew

SECONDS: Final = 1.0
"""How often it is looked without a reason, and how often for jobs of dead processes."""


class Background:
    """Looks for jobs, turn by turn; `queue` tells of new ones, `open_crew` makes who does them."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        queue: Path,
        open_crew: "Callable[[], Awaitable[Crew]]",
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._queue = Board(queue)
        self._open_crew = open_crew
        self._crew: Crew | None = None
        self._look_at = self._orphans_at = clock.monotonic()

    async def turn(self) -> int:
        """Take jobs on as there is room; return how many. Raises `UnavailableError`."""
        now = self._clock.monotonic()
        if not self._queue.moved() and now < self._look_at:
            return 0
        self._look_at = now  # again at once, until nothing was found
        async with reading(self._engine) as connection:
            pending = await jobs.pending(connection)
        if not (pending or (self._crew is not None and self._crew.is_busy)):
            self._look_at = now + SECONDS
        if pending.running and self._clock.monotonic() >= self._orphans_at:
            await self._take_back()
        if pending.queued and self._crew is None:
            self._crew = await self._open_crew()
        if self._crew is None:
            return 0
        return await self._crew.turn(queued=pending.queued)

    async def _take_back(self) -> None:
        from meterway.edge.openai.responses.making import take_back  # noqa: PLC0415 - as above

        self._orphans_at = self._clock.monotonic() + SECONDS
        await take_back(self._engine)

    async def close(self, grace: float) -> None:
        """Let running jobs end, at most `grace` seconds; put the others back."""
        if self._crew is not None:
            await self._crew.close(grace)
        self._queue.close()
