"""What one worker keeps of money: the prices, its journal, and its leases."""

import asyncio
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.catalog.prices import service as prices
from meterway.catalog.service import Catalog
from meterway.db.engine import reading, transaction
from meterway.kit.clock import Clock
from meterway.kit.errors import UnavailableError
from meterway.kit.ids import CallIds, random_text
from meterway.kit.tasks import Tasks
from meterway.ledger.budgets.board import Board
from meterway.ledger.budgets.purse import Purse
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.group import GroupCommit
from meterway.ledger.journal.syncer import EVERY
from meterway.ledger.journal.writer import Journal
from meterway.metering.quotes import Pricing

_log = structlog.get_logger()
_LOOK_SECONDS = 0.1  # a segment lasts much longer
_RETRY_SECONDS = 1.0
_SUFFIX = 8


class _NoJournal:
    """Stands for a journal that the database does not know yet.

    If this process ended, nobody could tell whose records those are.
    """

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal

    def reserve(self) -> None:
        """Raise `UnavailableError`."""
        raise UnavailableError(self._refusal, retry_after=_RETRY_SECONDS)

    def write(self, record: bytes, calls: int = 1) -> None:
        """Nothing is written where nothing can be reserved."""
        raise AssertionError(f"no room was reserved for {len(record)} bytes of {calls} calls")

    def release(self) -> None:
        """Nor is anything given back."""
        raise AssertionError("no room was reserved")


class Money:
    """Prices, journal and purse of one worker's life, each there as soon as it can be.

    `name` is the journal's, and no other process ever has it. A worker starts while the disk is
    full or the database is down, refuses what it cannot do, and mends by itself. `journal` refuses
    until it is `registered`; there is a `purse` from then on, and nobody gets to it before.
    What `syncs` waits for the disk itself; else that is the backstage process's to do.
    """

    def __init__(  # noqa: PLR0913 - what a worker has
        self,
        engine: AsyncEngine,
        clock: Clock,
        catalog: Catalog,
        *,
        ids: CallIds,
        folder: Path,
        board: Path,
        process: str,
        workers: int,
        syncs: bool,
    ) -> None:
        self.catalog = catalog
        self.pricing = Pricing(catalog)
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._folder = folder
        self._board = Board(board)
        self.name = f"{process}-{random_text(_SUFFIX)}"
        self._workers = workers
        self._syncs = syncs
        self._journal: Journal | None = None
        self._purse: Purse | None = None
        self._tasks = Tasks()
        self._disk = GroupCommit(self._sync, self._tasks)
        self._failing = False
        self.journal: Journal | _NoJournal = _NoJournal("Calls cannot be recorded yet; try again.")

    # -- prices ----------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read the price book anew. Raises `UnavailableError`."""
        async with reading(self._engine) as connection:
            self.pricing.replace(await prices.load(connection))

    # -- the journal -----------------------------------------------------------------------------

    @property
    def registered(self) -> bool:
        """Whether the database knows the journal, and calls can be recorded."""
        return self._purse is not None

    def _opened(self) -> Journal:
        if self._journal is None:
            self._journal = Journal.open(self._folder, self.name)
        return self._journal

    async def _keep(self) -> None:
        """Keep the journal ready for what comes, and where that is ours to do, on the disk."""
        pause = EVERY if self._syncs else _LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            journal = self._journal
            if journal is None:
                continue
            if self._syncs:
                if journal.dirty:
                    await self._disk.wait()
            elif journal.is_short:
                await journal.prepare()

    async def kept(self) -> None:
        """Wait until every record written so far is on the disk, together with all who wait.

        A disk that fails is logged and keeps no reply back: its call was served, and is charged
        unless the machine fails too.
        """
        await self._disk.wait()

    async def _sync(self) -> None:
        if self._journal is None or not self._journal.dirty:
            return
        try:
            await self._journal.sync()
        except OSError as error:
            if not self._failing:
                _log.error("journal.not_synced", error=str(error))
            self._failing = True
        else:
            self._failing = False

    # -- the purse -------------------------------------------------------------------------------

    @property
    def purse(self) -> Purse:
        """The leases, once it is `registered`."""
        assert self._purse is not None, "the journal refuses before"
        return self._purse

    async def answer_recalls(self) -> None:
        """Return what is idle of budgets that other machines wait for."""
        if self._purse is not None:
            await self._purse.answer_recalls()

    async def _register(self) -> None:
        """Make the journal known. Raises `UnavailableError`."""
        journal = self._opened()
        place = await asyncio.to_thread(journals.place_of, self._folder)
        async with transaction(self._engine) as tx:
            number = await journals.register(tx, self.name, place, self._clock.now())
        self._ids.move(number)  # whatever clocks do, no process before had it
        purse = Purse(self._engine, number, self._clock, self._board, workers=self._workers)
        self._purse = purse
        self.journal = journal
        self._tasks.spawn(purse.run(), name="purse.run")

    # -- its life --------------------------------------------------------------------------------

    async def start(self, tasks: Tasks) -> None:
        """Open and register the journal, now or as soon as that can be; keep it from then on."""
        tasks.spawn(self._keep(), name="journal.keep")
        await self._try_to_register()
        if self._purse is None:
            tasks.spawn(self._get_ready(), name="money.start")

    async def _get_ready(self) -> None:
        while self._purse is None:
            await self._clock.sleep(_RETRY_SECONDS)
            await self._try_to_register()

    async def _try_to_register(self) -> None:
        try:
            await self._register()
        except UnavailableError as error:
            self.journal = _NoJournal(error.message)
            _log.warning("journal.not_registered", error=error.message)

    async def close(self) -> None:
        """Return what is idle and let the journal go; no call is running any more."""
        if self._purse is not None:
            await self._purse.close()
        await self._tasks.cancel()
        await self._sync()
        if self._journal is not None:
            self._journal.close()
        self._board.close()
