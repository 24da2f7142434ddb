"""The laws of money, whatever is done in whatever order: sums are zero, nobody overdraws."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from sqlalchemy import text

from meterway.db.engine import open_engine, reading, transaction
from meterway.kit.errors import UnavailableError
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.errors import (
    InsufficientBalanceError,
    InsufficientFundsError,
    RefundTooLargeError,
)
from meterway.ledger.budgets.types import Refundable
from tests.factories.databases import sqlite_url
from tests.factories.purses import (
    KEY,
    USER,
    WALLET,
    Weather,
    broken,
    new_purse,
    remaining,
    set_cap,
    settle,
)
from tests.fakes.clock import FakeClock

AMOUNTS = st.integers(1, 60)
POTS = st.sampled_from([Kind.FREE, Kind.PAID])
WORKERS = st.integers(0, 1)
WORDS = st.lists(st.sampled_from(["fine", "down", "lost", "undone"]), max_size=3)


class Worker:
    """A purse, its journal's number, and the records nobody posted yet."""

    def __init__(self, purse, journal_id, weather):
        self.purse = purse
        self.journal_id = journal_id
        self.weather = weather
        self.records = []

    def unposted(self, room):
        lines = [line for takes in self.records for line in takes]
        return sum(amount for budget_id, amount in lines if budget_id == room.budget_id)


class Money(RuleBasedStateMachine):
    """Two workers, one user, one key, a settler by hand, and a database with moods."""

    holds = Bundle("holds")
    template: Path

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="money-"))
        shutil.copy(self.template, self.folder / "test.db")
        self.engine = open_engine(sqlite_url(self.folder / "test.db"))
        self.clock = FakeClock()
        self.workers = [self.run(self._new_worker()) for _ in range(2)]
        self.put_in = 0  # by top-ups and the like, less what calls cost
        self.charges = []
        self.numbers = 0
        self.run(set_cap(self.engine, 300))

    def run(self, work):
        return self.runner.run(work)

    def teardown(self):
        self.run(self._come_to_rest())
        self.run(self.engine.dispose())
        self.runner.close()
        shutil.rmtree(self.folder)

    async def _new_worker(self):
        weather = Weather()
        board = self.folder / "recalls"
        purse, journal_id = await new_purse(
            self.engine, self.clock, board, workers=2, slice_=20, opened=weather
        )
        return Worker(purse, journal_id, weather)

    async def _do(self, use_case, *args, **facts):
        async with transaction(self.engine) as tx:
            return await use_case(tx, *args, at=1.0, **facts)

    # -- what operators do -----------------------------------------------------------------------

    @rule(amount=AMOUNTS, pot=POTS, times=st.integers(1, 2))
    def top_up(self, amount, pot, times):
        self.numbers += 1
        for _ in range(times):
            self.run(self._do(budgets.top_up, USER, amount, pot, reference=f"t{self.numbers}"))
        self.put_in += amount

    @rule(amount=AMOUNTS, pot=POTS)
    def take_away(self, amount, pot):
        try:
            self.run(self._do(budgets.adjust, USER, -amount, pot, reference=None))
        except InsufficientFundsError:
            return
        self.put_in -= amount

    @rule(amount=st.none() | AMOUNTS, which=st.integers(0, 9), times=st.integers(1, 2))
    def refund(self, amount, which, times):
        if which >= len(self.charges):
            return
        self.numbers += 1
        call_id, price = self.charges[which]
        charge = Refundable(call_id=call_id, user_id=USER, paid=price)
        before = self.run(self._refunded(call_id))
        for _ in range(times):
            try:
                self.run(self._do(budgets.refund, charge, amount, reference=f"r{self.numbers}"))
            except RefundTooLargeError:
                assert before + (amount or 0) > price or before == price
                return
        self.put_in += price - before if amount is None else amount

    async def _refunded(self, call_id):
        async with reading(self.engine) as connection:
            return -(await books.reversed_of(connection, call_id)).get(Kind.REVENUE, 0)

    # -- what calls do ---------------------------------------------------------------------------

    @rule(target=holds, which=WORKERS, amount=AMOUNTS, keyed=st.booleans(), words=WORDS)
    def hold(self, which, amount, keyed, words):
        worker = self.workers[which]
        worker.weather.plan = words
        budgets_ = (WALLET, KEY) if keyed else (WALLET,)
        try:
            taken = self.run(worker.purse.borrow(budgets_, amount))
        except (InsufficientBalanceError, UnavailableError):
            taken = None
        worker.weather.plan = []
        return worker, taken

    @rule(hold=consumes(holds), price=AMOUNTS)
    def end(self, hold, price):
        worker, taken = hold
        if taken is not None and worker in self.workers:
            takes, overrun = taken.close(price)
            assert overrun <= max(price - taken.amount, 0)
            assert {amount for _, amount in takes} <= {price - overrun}
            worker.records.append(takes)

    @rule(hold=consumes(holds))
    def fail(self, hold):
        worker, taken = hold
        if taken is not None and worker in self.workers:
            taken.release()

    # -- what processes do -----------------------------------------------------------------------

    @rule(which=WORKERS)
    def post(self, which):
        self.run(self._post(self.workers[which]))

    async def _post(self, worker):
        for takes in worker.records:
            await settle(self.engine, worker.journal_id, takes)
            if takes:
                self.put_in -= takes[0][1]
                self.numbers += 1
                self.charges.append((10_000_000 + self.numbers, takes[0][1]))
        worker.records.clear()

    @rule(which=WORKERS, words=WORDS)
    def answer_recalls(self, which, words):
        worker = self.workers[which]
        worker.weather.plan = words
        self.run(worker.purse.answer_recalls())
        worker.weather.plan = []

    @rule(which=WORKERS, words=WORDS)
    def rest(self, which, words):
        worker = self.workers[which]
        worker.weather.plan = words
        self.clock.advance(2.0)
        self.run(worker.purse.tick(self.clock.monotonic()))
        worker.weather.plan = []

    @rule(which=WORKERS, again=st.booleans())
    def die(self, which, again):
        worker = self.workers[which]
        self.run(self._post(worker))
        for _ in range(1 + again):
            self.run(self._reclaim(worker))
        self.workers[which] = self.run(self._new_worker())

    async def _reclaim(self, worker):
        async with transaction(self.engine) as tx:
            await budgets.reclaim(tx, worker.journal_id)

    async def _come_to_rest(self):
        """When all have died, everything is available again."""
        for worker in self.workers:
            await self._post(worker)
            await self._reclaim(worker)
            assert await remaining(self.engine, worker.journal_id) == 0
        assert await broken(self.engine) == []

    # -- the laws --------------------------------------------------------------------------------

    @invariant()
    def the_laws_hold(self):
        self.run(self._look())

    async def _look(self):
        async with reading(self.engine) as connection:
            contradictions = await budgets.broken(connection)
            pots = (await books.pots(connection, [USER]))[USER]
            rows = await connection.execute(text("SELECT * FROM leases"))
            left = {(row.journal_id, row.budget_id): row.remaining for row in rows}
        assert contradictions == []
        assert pots.free + pots.paid == self.put_in
        assert min(pots.free, pots.paid) >= 0
        for worker in self.workers:
            for room in worker.purse._rooms.values():
                trusted = room.idle + room.held + worker.unposted(room)
                assert min(room.idle, room.held) >= 0
                assert trusted <= left.get((worker.journal_id, room.budget_id), 0)


def test_money_keeps_its_laws(migrated_file):
    class Here(Money):
        template = migrated_file

    Here.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )

    Here.TestCase("runTest").runTest()
