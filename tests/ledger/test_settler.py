"""The settler: every record one charge, whatever is repeated, killed, locked or full."""

import asyncio
import random
import shutil
import sqlite3

import pytest
from sqlalchemy import text

from meterway.db.engine import open_engine, reading, transaction
from meterway.kit.errors import UnavailableError
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.types import Budget, BudgetKind, Want
from meterway.ledger.charges.records import encode_record
from meterway.ledger.charges.types import Funding, KeyUse
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.layout import END_MARK, SLOT, START
from meterway.ledger.journal.writer import Journal
from meterway.ledger.seals import service as seals
from meterway.ledger.settler import Settler
from tests.factories.charges import AT, new_record
from tests.factories.databases import sqlite_url
from tests.fakes.clock import FakeClock

WALLET = Budget(BudgetKind.WALLET, 7)
SEGMENT = START + 2 * SLOT + len(END_MARK)


_COUNT = text(
    "INSERT INTO versions VALUES (:topic, :version) "
    "ON CONFLICT (topic) DO UPDATE SET version = versions.version + excluded.version"
)


class Counters:
    """Keys' counters, in a table of the test's own so that they are undone with the rest."""

    async def __call__(self, tx, uses):
        for key_id, use in uses.items():
            for what in ("calls", "fee", "last_at"):
                facts = {"topic": f"{what} of {key_id}", "version": int(getattr(use, what))}
                await tx.execute(_COUNT, facts)


class Worker:
    """What a worker is to the settler: a journal, its number, and leases."""

    def __init__(self, engine, journal, journal_id):
        self.engine, self.journal, self.id = engine, journal, journal_id
        self.wallet_id = 0

    async def lease(self, amount, budget=WALLET):
        async with transaction(self.engine) as tx:
            want = Want(budget, amount, amount)
            shares = await budgets.lease(tx, self.id, [want], 1, turn=1)
        self.wallet_id = shares[budget].budget_id
        assert shares[budget].granted == amount

    def end(self, *records):
        for record in records:
            self.journal.reserve()
            self.journal.write(encode_record(record))

    def call(self, price, **facts):
        record = new_record(price=price, takes=((self.wallet_id, price),), **facts)
        self.end(record)
        return record


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journals"


@pytest.fixture
async def worker(engine, folder):
    """Start a worker; all end with the test."""
    started = []

    async def start(name="w0", place="here", segment_bytes=SEGMENT):
        journal = Journal.open(folder, name, segment_bytes)
        async with transaction(engine) as tx:
            journal_id = await journals.register(tx, name, place, AT)
        started.append(Worker(engine, journal, journal_id))
        return started[-1]

    yield start
    for one in started:
        one.journal.close()


@pytest.fixture
def clock():
    return FakeClock(AT)


@pytest.fixture
def new_settler(engine, folder, clock):
    made = []

    def make(**options):
        place = {"clock": clock, "count_keys": Counters()}
        made.append(Settler(engine, folder, "here", **place | options))
        return made[-1]

    yield make
    for settler in made:
        settler.close()


async def _fund(engine, free=0, paid=0):
    async with transaction(engine) as tx:
        if free:
            await budgets.grant(tx, 7, free, at=AT, reference=None)
        if paid:
            await budgets.top_up(tx, 7, paid, at=AT, reference=None)


async def _rows(engine, query):
    async with reading(engine) as connection:
        return list(map(tuple, await connection.execute(text(query))))


async def _charged(engine):
    return [row[0] for row in await _rows(engine, "SELECT call_id FROM charges ORDER BY call_id")]


async def _available(engine):
    return (await _rows(engine, "SELECT available FROM budgets"))[0][0]


async def _pots(engine):
    async with reading(engine) as connection:
        return (await books.pots(connection, [7]))[7]


async def _broken(engine):
    async with reading(engine) as connection:
        return await budgets.broken(connection) + await seals.broken(connection)


async def _until_idle(settler):
    total = 0
    for _ in range(3):
        while posted := await settler.turn():
            total += posted
    return total


async def test_ended_calls_become_charges_and_move_everything_at_once(engine, worker, new_settler):
    await _fund(engine, free=30, paid=100)
    one = await worker()
    await one.lease(120)
    records = [one.call(20), one.call(25, cost=4, key_id=71)]

    posted = await new_settler().turn()

    assert posted == 2
    assert await _charged(engine) == [record.call_id for record in records]
    assert await _pots(engine) == Pots(free=0, paid=85)
    assert await _rows(engine, "SELECT remaining FROM leases") == [(75,)]
    assert await _rows(engine, "SELECT calls, price FROM usage_days ORDER BY price") == [
        (1, 20),
        (1, 25),
    ]
    assert dict(await _rows(engine, "SELECT topic, version FROM versions WHERE version < 99")) == {
        "calls of 70": 1,
        "calls of 71": 1,
        "fee of 70": 20,
        "fee of 71": 25,
    }
    assert await _rows(engine, "SELECT batch, charges FROM seals") == [(1, 2)]
    assert await _broken(engine) == []


async def test_nothing_to_post_changes_nothing(engine, worker, new_settler):
    await worker()

    assert await new_settler().turn() == 0
    assert await _rows(engine, "SELECT batch FROM seals") == []


async def test_settler_without_a_folder_waits_for_one(new_settler):
    assert await new_settler().turn() == 0


async def test_journals_are_posted_together_and_each_gets_its_share(engine, worker, new_settler):
    await _fund(engine, paid=10_000)
    workers = [await worker(f"w{i}") for i in range(3)]
    for one in workers:
        await one.lease(500)
        for _ in range(20):
            one.call(2)
    settler = new_settler(most=9)

    first = await settler.turn()
    positions = await _rows(engine, "SELECT DISTINCT position > 8 FROM journals")
    rest = await _until_idle(settler)

    assert (first, rest) == (9, 51)
    assert [bool(moved) for (moved,) in positions] == [True]
    assert await _broken(engine) == []


async def test_batches_are_bounded(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    for _ in range(10):
        one.call(1)
    settler = new_settler(most=4)

    turns = [(await settler.turn(), settler.is_behind) for _ in range(4)]

    assert turns == [(4, True), (4, True), (2, False), (0, False)]
    assert await _rows(engine, "SELECT charges FROM seals ORDER BY batch") == [(4,), (4,), (2,)]


async def test_busy_journal_beside_idle_ones_is_known_to_have_more(engine, worker, new_settler):
    await _fund(engine, paid=100)
    workers = [await worker(f"w{i}") for i in range(3)]
    await workers[1].lease(100)
    for _ in range(7):
        workers[1].call(1)
    settler = new_settler(most=9)

    posted = await settler.turn()
    while settler.is_behind:
        posted += await settler.turn()

    assert posted == 7


async def test_repeated_and_reordered_records_are_charged_once(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one, other = await worker("w0"), await worker("w1")
    await one.lease(50)
    await other.lease(50)
    records = [one.call(3) for _ in range(4)]
    settler = new_settler()
    await settler.turn()

    one.end(*reversed(records))
    again = new_record(price=5, takes=((one.wallet_id, 5),))
    one.end(again, again)
    other.end(again, *records)
    posted = await _until_idle(settler)

    assert posted == 1
    assert await _pots(engine) == Pots(paid=83)
    assert sum(row[0] for row in await _rows(engine, "SELECT remaining FROM leases")) == 83
    assert await _broken(engine) == []


async def test_new_settler_goes_on_where_the_last_one_stopped(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    one.call(1)
    first = new_settler()
    await first.turn()
    first.close()
    one.call(1)

    assert await new_settler().turn() == 1
    assert len(await _charged(engine)) == 2


async def test_two_settlers_of_one_place_post_each_call_once(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    settlers = [new_settler(most=3), new_settler(most=2)]

    for _ in range(10):
        for _ in range(4):
            one.call(1)
        done = await asyncio.gather(*(one.turn() for one in settlers), return_exceptions=True)
        assert all(isinstance(result, int | UnavailableError) for result in done), done
    for settler in settlers:
        await _until_idle_through_faults(settler)

    assert len(await _charged(engine)) == 40
    assert await _broken(engine) == []


async def test_settler_that_was_overtaken_looks_again(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    slow, fast = new_settler(), new_settler()
    one.call(1)
    await slow.turn()
    one.call(1)
    await fast.turn()
    one.call(1)

    with pytest.raises(UnavailableError):
        await slow.turn()

    assert await slow.turn() == 1
    assert len(await _charged(engine)) == 3


async def _until_idle_through_faults(settler):
    for _ in range(30):
        try:
            await settler.turn()
        except UnavailableError:
            continue


async def test_posted_segments_are_deleted(engine, worker, new_settler, folder):
    await _fund(engine, paid=1000)
    one = await worker()
    await one.lease(1000)
    while one.journal.name and len(list((folder / "w0").glob("*.segment"))) < 5:
        one.call(1)

    await _until_idle(new_settler())

    left = sorted(path.name for path in (folder / "w0").glob("*.segment"))
    assert left == ["00000004.segment", "00000005.segment"]


async def test_each_funding_has_its_account(engine, worker, new_settler):
    one = await worker()
    one.end(
        new_record(price=5, funding=Funding.DUE),
        new_record(price=0, funding=Funding.HOUSE, cost=0),
        new_record(price=9, overrun=9),
    )

    await new_settler().turn()

    async with reading(engine) as connection:
        due, overrun = Account(Kind.DUE, 7), Account(Kind.OVERRUN)
        assert await books.balances(connection, [due, overrun]) == {due: -5, overrun: -9}
    assert await _broken(engine) == []


async def test_leases_of_the_dead_return_after_their_last_call(engine, worker, new_settler, folder):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    one.call(30)
    one.journal.close()

    await _until_idle(new_settler())

    assert (await _available(engine), await _pots(engine)) == (70, Pots(paid=70))
    assert await _rows(engine, "SELECT COUNT(*) FROM leases") == [(0,)]
    assert await _rows(engine, "SELECT name FROM journals WHERE closed_at IS NULL") == []
    assert not (folder / "w0").exists()
    assert await _broken(engine) == []


async def test_leases_of_the_living_stay(engine, worker, new_settler, folder):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)

    await _until_idle(new_settler())

    assert await _rows(engine, "SELECT remaining FROM leases") == [(100,)]
    assert (folder / "w0").exists()


async def test_record_written_just_before_death_is_posted_before_the_leases_return(
    engine, worker, new_settler
):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    settler = new_settler()
    await settler.turn()

    one.call(30)
    one.journal.close()
    await _until_idle(settler)

    assert (await _available(engine), len(await _charged(engine))) == (70, 1)
    assert await _broken(engine) == []


async def test_torn_last_record_is_no_charge_and_its_lease_returns_whole(
    engine, worker, new_settler, folder
):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    one.call(30)
    one.call(20)
    one.journal.close()
    path = folder / "w0" / "00000001.segment"
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-9] + bytes(1000))

    await _until_idle(new_settler())

    assert (await _available(engine), len(await _charged(engine))) == (70, 1)
    assert await _broken(engine) == []


async def test_settler_that_dies_after_closing_a_journal_leaves_nothing_behind(
    engine, worker, new_settler, folder
):
    one = await worker()
    async with transaction(engine) as tx:
        await journals.close(tx, one.id, AT)
    one.journal.close()

    await new_settler().turn()

    assert not (folder / "w0").exists()


async def test_worker_that_died_before_it_was_registered_leaves_nothing_behind(
    engine, new_settler, folder
):
    Journal.open(folder, "early", SEGMENT).close()
    alive = Journal.open(folder, "alive", SEGMENT)
    settler = new_settler()

    await settler.turn()

    assert [path.name for path in folder.iterdir()] == ["alive"]
    alive.close()


async def test_worker_that_registers_late_is_settled(engine, new_settler, folder):
    journal, settler = Journal.open(folder, "late", SEGMENT), new_settler()
    await settler.turn()
    async with transaction(engine) as tx:
        await journals.register(tx, "late", "here", AT)
    journal.reserve()
    journal.write(encode_record(new_record(funding=Funding.DUE)))

    assert await settler.turn() == 1
    journal.close()


async def test_journal_with_calls_that_nobody_registered_is_left_alone(engine, new_settler, folder):
    journal = Journal.open(folder, "stranger", SEGMENT)
    journal.reserve()
    journal.write(encode_record(new_record()))
    journal.close()

    assert await _until_idle(new_settler()) == 0
    assert (folder / "stranger").exists()


async def test_journal_of_another_place_is_left_alone(engine, worker, new_settler, folder):
    one = await worker(place="elsewhere")
    one.end(new_record(funding=Funding.DUE))
    one.journal.close()

    assert await _until_idle(new_settler()) == 0
    assert (folder / "w0").exists()
    assert await _rows(engine, "SELECT name FROM journals WHERE closed_at IS NULL") == [("w0",)]


async def test_leases_of_a_journal_that_is_gone_are_not_guessed(
    engine, worker, new_settler, folder
):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    settler = new_settler()
    await settler.turn()
    shutil.rmtree(folder / "w0")

    await _until_idle(settler)

    assert await _rows(engine, "SELECT remaining FROM leases") == [(100,)]
    assert await _rows(engine, "SELECT name FROM journals WHERE closed_at IS NULL") == [("w0",)]


async def test_journal_that_cannot_be_posted_stops_no_other(engine, worker, new_settler, folder):
    await _fund(engine, paid=100)
    bad, worse, good = await worker("w0"), await worker("w1"), await worker("w2")
    await good.lease(100)
    bad.end(new_record(price=5, takes=((good.wallet_id, 5),)))  # from a lease it does not hold
    worse.journal.reserve()
    worse.journal.write(b"no record at all")
    record = good.call(30)
    settler = new_settler(most=3)

    for _ in range(3):
        await settler.turn()
    assert not settler.is_behind
    bad.journal.close()
    worse.journal.close()
    await _until_idle(settler)

    assert await _charged(engine) == [record.call_id]
    assert {path.name for path in folder.iterdir()} == {"w0", "w1", "w2"}
    assert await _broken(engine) == []


async def test_calls_before_one_that_cannot_be_read_are_posted(engine, worker, new_settler):
    one = await worker()
    one.end(record := new_record(funding=Funding.DUE))
    one.journal.reserve()
    one.journal.write(b"no record at all")

    await _until_idle(new_settler())

    assert await _charged(engine) == [record.call_id]


async def test_undone_commit_is_posted_again(engine, worker, new_settler):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    record = one.call(30, model="a new name")
    failing = [True]

    async def fail_once(tx, uses):
        assert uses == {70: KeyUse(1, 30, AT)}
        if failing:
            failing.clear()
            raise UnavailableError("gone for a moment")

    settler = new_settler(count_keys=fail_once)
    with pytest.raises(UnavailableError):
        await settler.turn()
    before = await _charged(engine)

    posted = await settler.turn()

    assert (before, posted) == ([], 1)
    assert await _charged(engine) == [record.call_id]
    assert await _broken(engine) == []


async def test_entries_are_sealed_every_few_seconds_without_calls(engine, new_settler, clock):
    settler = new_settler()
    sealed = []
    for seconds in (0, 1, 1, 2, 2):
        await _fund(engine, paid=5)
        clock.advance(seconds)
        await settler.turn()
        sealed.append((await _rows(engine, "SELECT MAX(last_entry) FROM seals"))[0][0])
    clock.advance(9)
    await settler.turn()
    await settler.turn()

    assert sealed == [1, 1, 3, 4, 5]
    assert await _rows(engine, "SELECT COUNT(*) FROM seals") == [(4,)]
    assert await _broken(engine) == []


async def test_clock_that_jumps_changes_nothing(engine, worker, new_settler, clock):
    await _fund(engine, paid=100)
    one = await worker()
    await one.lease(100)
    settler = new_settler()
    for jump in (10**6, -(10**7), 5):
        one.call(10)
        clock.advance(jump)
        assert await settler.turn() == 1

    one.journal.close()
    await _until_idle(settler)

    assert await _available(engine) == 70
    assert await _broken(engine) == []


# -- SQLite alone: other programs' locks, and a disk that is full ---------------------------------


@pytest.fixture
async def impatient(migrated_file, tmp_path):
    """An engine on SQLite that does not wait for locks."""
    path = tmp_path / "locked.db"
    await asyncio.to_thread(shutil.copy, migrated_file, path)
    engine = open_engine(sqlite_url(path), connect_timeout=0.01)
    yield engine, path
    await engine.dispose()


@pytest.fixture
async def late(impatient, folder, clock):
    """A settler with calls to settle, of a worker that is gone."""
    engine, _ = impatient
    journal = Journal.open(folder, "w0", 10 * SEGMENT)
    async with transaction(engine) as tx:
        await journals.register(tx, "w0", "here", AT)
    for _ in range(500):
        journal.reserve()
        journal.write(encode_record(new_record(funding=Funding.DUE)))
    journal.close()
    settler = Settler(engine, folder, "here", clock=clock, count_keys=Counters())
    yield settler
    settler.close()


async def test_locked_database_is_waited_out(impatient, late):
    engine, path = impatient
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")

    for _ in range(3):
        with pytest.raises(UnavailableError) as refused:
            await late.turn()
    lock.execute("ROLLBACK")
    lock.close()

    assert refused.value.retry_after
    assert await _until_idle(late) == 500
    assert len(await _charged(engine)) == 500


async def test_full_disk_is_waited_out(impatient, late):
    engine, _ = impatient
    async with engine.connect() as held:
        connection = (await held.get_raw_connection()).driver_connection
        await connection.execute("PRAGMA max_page_count = 1")  # no page more than there are

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await late.turn()
    charged = await _charged(engine)
    await connection.execute("PRAGMA max_page_count = 1000000")

    assert charged == []
    assert await _until_idle(late) == 500
    assert await _broken(engine) == []


async def test_commits_of_the_settler_wait_for_the_disk(impatient, late):
    engine, _ = impatient

    await late.turn()

    async with reading(engine) as connection:
        found = await connection.execute(text("PRAGMA synchronous"))
        assert found.scalar_one() == 2


@pytest.mark.parametrize("round_", range(3))
async def test_whatever_happens_every_call_is_charged_once(
    engine, worker, new_settler, folder, round_
):
    seed = random.randrange(2**32)
    chance, expected = random.Random(seed), []
    workers: list[Worker] = []
    await _fund(engine, free=5_000, paid=50_000)
    settler = new_settler(most=7)
    for step in range(60):
        if len(workers) < 3:
            workers.append(one := await worker(f"w{step}"))
            await one.lease(1000)
        one = chance.choice(workers)
        match chance.randrange(4):
            case 0 | 1:
                expected += [one.call(chance.randrange(1, 9)) for _ in range(chance.randrange(9))]
            case 2:
                one.journal.close()
                workers.remove(one)
            case 3:
                if chance.random() < 0.3:
                    settler.close()
                    settler = new_settler(most=chance.randrange(3, 9))
                await settler.turn()
    for one in workers:
        one.journal.close()
    for _ in range(500):  # a turn of a few calls reads a few of many journals, which may be empty
        await settler.turn()
        if settler.is_idle:
            break

    assert settler.is_idle, seed
    assert await _charged(engine) == sorted(record.call_id for record in expected), seed
    spent = sum(record.price for record in expected)
    pots = await _pots(engine)
    assert pots.free + pots.paid == 55_000 - spent == await _available(engine), seed
    assert (pots.free, pots.paid) == (max(0, 5000 - spent), 50_000 - max(0, spent - 5000)), seed
    assert await _broken(engine) == [], seed
