"""What the backstage process does of background jobs: it looks for them, and has a crew make them.

Looking costs one small query a turn. The crew, with all that carries calls, is made when the first
job comes: a backstage process that never sees one pays for no relay, no journal and no prices.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.db.engine import reading
from meterway.jobs import service as jobs
from meterway.kit.clock import Clock

if TYPE_CHECKING:  # it is all that carries calls
    from meterway.processes.crew import Crew

ORPHANS_SECONDS: Final = 1.0
"""How often jobs of dead processes are looked for, while there are any running."""


class Background:
    """Looks for jobs, turn by turn; `open_crew` makes who does them."""

    def __init__(
        self, engine: AsyncEngine, clock: Clock, open_crew: "Callable[[], Awaitable[Crew]]"
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._open_crew = open_crew
        self._crew: Crew | None = None
        self._orphans_at = clock.monotonic()

    async def turn(self) -> int:
        """Take jobs on as there is room; return how many. Raises `UnavailableError`."""
        async with reading(self._engine) as connection:
            pending = await jobs.pending(connection)
        if pending.running and self._clock.monotonic() >= self._orphans_at:
            await self._take_back()
        if pending.queued and self._crew is None:
            self._crew = await self._open_crew()
        if self._crew is None:
            return 0
        return await self._crew.turn(queued=pending.queued)

    async def _take_back(self) -> None:
        from meterway.edge.openai.responses.making import take_back  # noqa: PLC0415 - as above

        self._orphans_at = self._clock.monotonic() + ORPHANS_SECONDS
        await take_back(self._engine)

    async def close(self, grace: float) -> None:
        """Let running jobs end, at most `grace` seconds; put the others back."""
        if self._crew is not None:
            await self._crew.close(grace)
