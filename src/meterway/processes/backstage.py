"""The backstage process: syncs and posts what workers journal, and looks after the books."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

import structlog
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.db.engine import open_engine
from meterway.keys import service as keys
from meterway.kit import metrics
from meterway.kit.clock import Clock, SystemClock
from meterway.kit.errors import UnavailableError
from meterway.kit.money import dollars
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.syncer import Syncer
from meterway.ledger.settler import Settler
from meterway.processes.background import Background
from meterway.processes.child import settle_memory
from meterway.processes.chores import Chores
from meterway.processes.workplace import Workplace
from meterway.settings import Settings

if TYPE_CHECKING:  # it is all that carries calls
    from meterway.processes.crew import Crew

_log = structlog.get_logger()
_PAUSE = 0.2  # seconds between two turns: each costs a millisecond, however few calls it posts
_BUSY_PAUSE = 0.3  # after a turn of at least `_BUSY` calls: the next one is the larger
_BUSY = 200
_SHORTEST = 0.01
_FAILING = 1.0


def run_backstage(settings: Settings, place: Workplace) -> None:
    """Post until SIGTERM came and the journals of workers that ended are posted."""
    metrics.name_process("backstage")
    with _syncing(settings), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, place))


@contextmanager
def _syncing(settings: Settings) -> Iterator[None]:
    """Sync what is journalled, unless whoever writes waits for the disk itself."""
    if settings.journal_sync == "always":
        yield
        return
    ending, syncer = Event(), Syncer(settings.journals, SystemClock())
    thread = Thread(target=syncer.run, args=(ending,), name="journal.sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


async def _serve(settings: Settings, place: Workplace) -> None:
    stopping, parent = asyncio.Event(), os.getppid()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    engine, clock = open_engine(settings.database), SystemClock()
    chores = Chores(
        engine,
        clock,
        daily_free=dollars(settings.daily_free),
        keep_days=settings.usage_retention_days,
    )
    open_crew = partial(_open_crew, settings, engine, clock, place)
    background = Background(engine, clock, place.queue, open_crew)
    settler = await _settler(settings, engine, clock)
    backstage = Backstage(clock, settler, chores, background)
    settle_memory()
    try:
        while not stopping.is_set() and os.getppid() == parent:
            pause = await backstage.turn()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
        await background.close(settings.shutdown_grace / 2)
        await backstage.finish(settings.shutdown_grace / 2)
    finally:
        backstage.close()
        await engine.dispose()


async def _settler(settings: Settings, engine: AsyncEngine, clock: Clock) -> Settler:
    place = await asyncio.to_thread(journals.place_of, settings.journals)
    return Settler(engine, settings.journals, place, clock=clock, count_keys=keys.count_use)


async def _open_crew(
    settings: Settings, engine: AsyncEngine, clock: Clock, place: Workplace
) -> "Crew":
    from meterway.processes.crew import Crew  # noqa: PLC0415 - all that carries calls

    crew = Crew(settings, engine, clock, place)
    await crew.start()
    return crew


class Backstage:
    """What is done over and over: a turn of the settler, the chores that are due, and jobs.

    What fails is told once, until it works again.
    """

    def __init__(
        self, clock: Clock, settler: Settler, chores: Chores, background: Background
    ) -> None:
        self._clock = clock
        self._settler = settler
        self._chores = chores
        self._background = background
        self._failing = False

    async def turn(self) -> float:
        """Do what is due; return the seconds to wait before the next turn."""
        posted = await self._told(self._post)
        for work in self._chores.due():
            await self._told(work)
        await self._told(self._background.turn)
        if posted is None:
            return _FAILING
        if self._settler.is_behind:
            return 0.0
        return _BUSY_PAUSE if posted >= _BUSY else _PAUSE

    async def finish(self, grace: float) -> None:
        """Post until nothing comes and no journal is left open, at most `grace` seconds."""
        end = self._clock.monotonic() + grace
        while self._clock.monotonic() < end:
            posted = await self._told(self._post)
            if not posted and (posted is None or self._settler.is_idle):
                return
            await self._clock.sleep(_SHORTEST)

    def close(self) -> None:
        """Let the journals go."""
        self._settler.close()

    async def _post(self) -> int:
        posted = await self._settler.turn()
        metrics.POSTED_CALLS.inc(posted)
        return posted

    async def _told(self, work: Callable[[], Awaitable[int]]) -> int | None:
        try:
            done = await work()
        except UnavailableError as error:
            if not self._failing:
                _log.error("backstage.waits", error=error.message)
            self._failing = True
            return None
        if self._failing:
            _log.info("backstage.goes_on")
        self._failing = False
        return done
