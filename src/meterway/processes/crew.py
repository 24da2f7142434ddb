"""Who makes background jobs: a relay of the backstage process's own, and the jobs it carries."""

import asyncio
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.catalog.service import Catalog
from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.edge.http import InFlight
from meterway.edge.openai.responses.making import Maker, claim
from meterway.jobs import service as jobs
from meterway.jobs.errors import JobLostError
from meterway.jobs.types import Job
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.ledger.budgets import service as budgets
from meterway.limits.service import Limiter, Policy, open_counts
from meterway.processes.money import Money
from meterway.processes.relaying import Relaying
from meterway.processes.workplace import Workplace
from meterway.relay.limits import CallLimits
from meterway.settings import Settings
from meterway.tokens.remote import RemoteCounting
from meterway.tokens.service import TokenCounter

_NAME = "backstage"
_LOOK_SECONDS = 0.5  # a cancelled job is cut within a second
_log = structlog.get_logger()


class Crew:
    """Makes up to `settings.background_jobs` jobs at once, each claimed under its journal's name.

    The journal is the proof that the process lives, so there is one where nothing is billed too.
    Calls were counted against their limits when they were taken on, and are not counted again.
    """

    def __init__(
        self, settings: Settings, engine: AsyncEngine, clock: Clock, place: Workplace
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._most = settings.background_jobs
        self._counter = TokenCounter(RemoteCounting(place.counter))
        self._counts = open_counts(place.limits, None)
        self._money = _money(settings, engine, clock, place)
        unlimited = CallLimits(Limiter(self._counts, clock), Policy({}), clock)
        self.relaying = Relaying(
            settings,
            engine,
            clock,
            self._counter,
            _NAME,
            unlimited,
            self._money if settings.billing else None,
            InFlight(settings.in_flight_limit),
        )
        kept = self._money.kept if settings.journal_sync == "always" else None
        self._maker = Maker(engine, clock, self.relaying.gate, self.relaying.write_down, kept)
        self._watcher = self._watching(settings)
        self._tasks = Tasks()
        self._making = Tasks()
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._look_at = clock.monotonic()
        self._interrupting = False

    def _watching(self, settings: Settings) -> versions.Watcher:
        return versions.Watcher(
            self._engine,
            self._clock,
            settings.snapshot_poll_ms / 1000,
            {
                versions.PRICES: self._follow_prices,
                versions.CHANNELS: self.relaying.refresh,
                budgets.RECALLS: self._money.answer_recalls,
            },
        )

    async def _follow_prices(self) -> None:
        await self._money.refresh()
        if self.relaying.loaded:
            await self.relaying.refresh()

    async def start(self) -> None:
        """Load the snapshots and keep them fresh; what fails is tried again."""
        await asyncio.gather(self._look(), self._money.start(self._tasks))
        self._tasks.spawn(self._watcher.run(), name="versions.watch")

    async def _look(self) -> None:
        try:
            await self._watcher.look()
        except MeterwayError as error:
            _log.error("background.not_ready", error=error.message)

    @property
    def is_busy(self) -> bool:
        """Whether any job is being made; it may be gone by now."""
        return bool(self._running)

    async def turn(self, *, queued: bool) -> int:
        """Cut what was cancelled, and take on what is `queued`; return how many.

        Raises `UnavailableError`.
        """
        if self._running and self._clock.monotonic() >= self._look_at:
            await self._cut_cancelled()
        if not (queued and self.relaying.loaded and self._money.registered):
            return 0
        taken = 0
        while len(self._running) < self._most:
            job = await claim(self._engine, self._money.name)
            if job is None:
                break
            self._begin(job)
            taken += 1
        return taken

    async def _cut_cancelled(self) -> None:
        self._look_at = self._clock.monotonic() + _LOOK_SECONDS
        running = dict(self._running)  # one claimed meanwhile is not in the answer
        async with reading(self._engine) as connection:
            wanted = await jobs.wanted(connection, self._money.name)
        for call_id, (_, task) in running.items():
            if call_id not in wanted:
                task.cancel()

    def _begin(self, job: Job) -> None:
        task = self._making.spawn(self._make(job), name="job.make")
        self._running[job.call_id] = job, task
        task.add_done_callback(partial(self._ended, job.call_id))

    def _ended(self, call_id: int, task: asyncio.Task[None]) -> None:
        del task
        self._running.pop(call_id, None)

    async def _make(self, job: Job) -> None:
        try:
            await self._maker.make(job)
        except (JobLostError, asyncio.CancelledError):
            await self._release(job)  # nobody else may cancel it: it ends here

    async def _release(self, job: Job) -> None:
        """Let go of a job that was cut; of one that we interrupt ourselves, for another to make.

        What fails is mended once our journal is closed.
        """
        try:
            async with transaction(self._engine) as tx:
                if self._interrupting:
                    await jobs.put_back(tx, job, counts=False)
                else:
                    await jobs.let_go(tx, job)
        except (JobLostError, UnavailableError) as error:
            _log.warning("job.not_released", response=job.response_id, error=error.message)

    async def close(self, grace: float) -> None:
        """Let running jobs end, at most `grace` seconds; put the others back, and let go of all.

        Nobody pays for what is put back: it runs again under the same call id.
        """
        if self._running:
            await asyncio.wait([task for _, task in self._running.values()], timeout=grace)
        await self._interrupt()
        await self._maker.close()
        await self._tasks.cancel()
        await self.relaying.close()
        await self._money.close()
        await self._counter.close()
        self._counts.close()

    async def _interrupt(self) -> None:
        self._interrupting = True
        if self._running:
            _log.warning("jobs.interrupted", jobs=len(self._running))
        for call_id, (_, task) in self._running.items():
            self.relaying.gate.till.waive(call_id)
            task.cancel()
        await self._making.drain()


def _money(settings: Settings, engine: AsyncEngine, clock: Clock, place: Workplace) -> Money:
    return Money(
        engine,
        clock,
        Catalog(),
        ids=CallIds(0),  # its calls have theirs already
        folder=settings.journals,
        board=place.board,
        process=_NAME,
        workers=settings.workers,
        syncs=settings.journal_sync == "always",
    )
