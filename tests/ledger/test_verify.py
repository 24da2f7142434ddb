"""Verifying the ledger: a sound one passes, and every change of what was posted is found."""

import shutil

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from meterway.catalog.book import Book
from meterway.catalog.tariffs import Origin, Price, Rates, Tariff
from meterway.db.engine import reading, transaction
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.types import Budget, BudgetKind, Want
from meterway.ledger.charges import receipts
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.records import encode_record
from meterway.ledger.charges.types import AttemptCost, Funding
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.writer import Journal
from meterway.ledger.settler import Settler
from meterway.ledger.verify import at_one_moment, verify
from meterway.metering.receipts import pricer
from meterway.protocols.usage import Usage
from tests.factories.charges import AT, new_receipt, new_record
from tests.fakes.clock import FakeClock

DAY = 86_400
COUNTED: dict[int, tuple[int, int]] = {}
BOOK = Book(
    Price(
        id=number,
        model="m",
        effective_at=0,
        tariff=Tariff(rates=Rates(input=rate), services={"flex": 500_000, "fast": 2_000_000}),
        origin=Origin.SEED,
        source="here",
    )
    for number, rate in ((88, 1_000_000), (89, 2_000_000))
)
"""Two prices: a token read costs one nano-dollar, or two."""


async def _count(tx, uses):
    for key_id, use in uses.items():
        calls, fee = COUNTED.get(key_id, (0, 0))
        COUNTED[key_id] = (calls + use.calls, fee + use.fee)


async def _counted(connection):
    return COUNTED


@pytest.fixture(autouse=True)
def _nothing_counted():
    COUNTED.clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journals"


@pytest.fixture
async def ledger(engine, folder):
    """A ledger with money in, four batches of calls, a refund, and a lease that is held."""
    clock, place = FakeClock(AT), journals.place_of(folder)
    journal = Journal.open(folder, "w0")
    leases = await _open(engine, place)
    settler = Settler(engine, folder, place, clock=clock, count_keys=_count)
    for batch in range(4):
        for i in range(6):
            _end(journal, batch, i, leases[7 + i % 2])
        clock.advance(DAY)
        await settler.turn()
    async with transaction(engine) as tx:
        call_id = (await tx.execute(text("SELECT MIN(call_id) FROM charges"))).scalar_one()
        found = await budgets.refundable(tx, call_id)
        await budgets.refund(tx, found, 4, at=AT, reference=None)
    clock.advance(9)
    await settler.turn()
    settler.close()
    yield engine
    journal.close()


async def _open(engine, place):
    """Give two users money and the journal leases of it; return the leases by user."""
    async with transaction(engine) as tx:
        for user_id in (7, 8):
            await budgets.grant(tx, user_id, 50, at=AT, reference=None)
            await budgets.top_up(tx, user_id, 5000, at=AT, reference=None)
        journal_id = await journals.register(tx, "w0", place, AT)
        wants = [Want(Budget(BudgetKind.WALLET, user_id), 900, 900) for user_id in (7, 8)]
        shares = await budgets.lease(tx, journal_id, wants, 1, turn=1)
    return {want.budget.owner: shares[want.budget].budget_id for want in wants}


def _end(journal, batch, i, lease):
    """End a call that reads ten tokens and more, half of them at half the price twice."""
    terms = {"multipliers": {"model": 4_000_000, "tier": 500_000}, "service": "flex"}
    usage = Usage(input=10 + i, output=3)
    record = new_record(
        at=AT + batch * DAY,
        user_id=7 + i % 2,
        key_id=70 + i % 2 * 10,
        price=10 + i,
        cost=i,
        model=f"model-{batch % 2}",
        receipt=new_receipt(
            usage=usage, seconds=float(i), **terms if i % 2 else {"multipliers": {}}
        ),
        takes=((lease, 10 + i),),
    )
    journal.reserve()
    journal.write(encode_record(record))


def _pricer_of(terms):
    return pricer(terms, BOOK)


async def _verify(engine, **options):
    async with reading(engine) as connection:
        await at_one_moment(connection)
        return await verify(connection, key_counters=_counted, **options)


async def _change(engine, *statements):
    async with transaction(engine) as tx:
        for statement in statements:
            await tx.execute(text(statement))


async def test_sound_ledger_passes(ledger, folder):
    seen = []

    report = await _verify(
        ledger,
        folder=folder,
        pricer_of=_pricer_of,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert report.breaks == ()
    assert (report.charges, report.seals, report.entries) == (24, 5, 5)
    assert (report.unsealed, report.quarantined, len(report.head)) == (0, (), 64)
    assert seen == [(24, 24)]


async def test_empty_ledger_passes(engine):
    report = await _verify(engine)

    assert (report.breaks, report.charges, report.seals) == ((), 0, 0)


CALL = "call_id = (SELECT MAX(call_id) FROM charges)"
OTHER = "call_id = (SELECT MIN(call_id) FROM charges)"
COPY = (
    "INSERT INTO charges SELECT call_id + {more}, user_id, key_id, model_id, channel_id, {batch}, "
    "{amounts}, receipt FROM charges WHERE " + CALL
)
COLUMNS = [
    "user_id",
    "key_id",
    "model_id",
    "channel_id",
    "batch",
    "price",
    "free",
    "paid",
    "credit",
    "due",
    "overrun",
    "cost",
]
AMOUNTS = "price, free, paid, credit, due, overrun, cost"


@pytest.mark.parametrize(
    "statements",
    [
        *[(f"UPDATE charges SET {column} = {column} + 1 WHERE {CALL}",) for column in COLUMNS],
        (f"UPDATE charges SET call_id = call_id + 1000 WHERE {CALL}",),
        (f"UPDATE charges SET price = price + 1, paid = paid + 1 WHERE {CALL}",),
        (f"UPDATE charges SET free = 1, paid = paid - 1 WHERE {CALL}",),
        (f"UPDATE charges SET paid = paid + 1, free = -1 WHERE {CALL}",),
        (f"UPDATE charges SET receipt = (SELECT receipt FROM charges WHERE {OTHER}) WHERE {CALL}",),
        (f"DELETE FROM charges WHERE {CALL}",),
        ("DELETE FROM charges WHERE batch = 2",),
        ("DELETE FROM charges",),
        (COPY.format(more=1, batch="batch", amounts=AMOUNTS),),
        (COPY.format(more=1, batch="batch", amounts="0, 0, 0, 0, 0, 0, 0"),),
        (COPY.format(more=1, batch="99", amounts="0, 0, 0, 0, 0, 0, 0"),),
        (COPY.format(more=-(2**62), batch="1", amounts="0, 0, 0, 0, 0, 0, 0"),),
        ("UPDATE charges SET batch = 3 WHERE batch = 2",),
        ("UPDATE charges SET batch = 5 - batch",),
        ("UPDATE seals SET digest = content WHERE batch = 1",),
        ("UPDATE seals SET content = digest WHERE batch = 4",),
        ("DELETE FROM seals WHERE batch = 2",),
        ("DELETE FROM seals WHERE batch = 4",),
        ("DELETE FROM seals",),
        ("DELETE FROM charges WHERE batch = 2", "DELETE FROM seals WHERE batch = 2"),
        ("UPDATE seals SET charges = -charges WHERE batch = 2",),
        ("UPDATE postings SET amount = amount + 1 WHERE amount = 50",),
        ("UPDATE postings SET amount = amount * 2 WHERE entry_id = 1",),
        ("DELETE FROM postings WHERE entry_id = 1",),
        ("UPDATE entries SET reason = 'another' WHERE id = 1",),
        ("UPDATE book_accounts SET balance = balance + 1 WHERE kind = 'paid' AND owner = 7",),
        (
            "UPDATE book_accounts SET balance = balance + 1 WHERE kind = 'paid' AND owner = 7",
            "UPDATE book_accounts SET balance = balance - 1 WHERE kind = 'paid' AND owner = 8",
        ),
        ("DELETE FROM book_accounts WHERE kind = 'overrun' OR kind = 'revenue'",),
        ("UPDATE budgets SET available = available + 1 WHERE owner = 7",),
        ("UPDATE leases SET remaining = remaining + 1",),
        ("DELETE FROM leases",),
        ("UPDATE usage_days SET calls = calls + 1 WHERE user_id = 7",),
        ("UPDATE usage_days SET price = price - 1 WHERE user_id = 7",),
        ("UPDATE usage_days SET input_tokens = input_tokens + 1 WHERE user_id = 7",),
        ("UPDATE usage_days SET output_tokens = 0",),
        ("DELETE FROM usage_days WHERE user_id = 7",),
    ],
    ids=lambda statements: "; ".join(statements)[:90],
)
async def test_every_change_of_what_was_posted_is_found(ledger, statements):
    if "DELETE FROM book_accounts" in statements[0]:
        statements = ("DELETE FROM postings WHERE entry_id = 5", *statements)

    await _change(ledger, *statements)

    assert (await _verify(ledger)).breaks != ()


async def test_key_that_counted_something_else_is_named(ledger):
    calls, fee = COUNTED[70]
    COUNTED[70] = (calls, fee - 1)

    [told] = (await _verify(ledger)).breaks

    assert told.startswith("key 70 counts 12 calls")


@pytest.mark.parametrize(
    ("change", "price"),
    [
        ({"usage": Usage(input=16)}, 16),
        ({"usage": Usage(input=15, reasoning=1)}, 15),
        ({"usage": Usage(cache_read=16)}, 16),
        ({"usage": Usage()}, 0),
        ({"price_id": 89}, 30),
        ({"price_id": 0}, 0),
        ({"multipliers": {"model": 4_000_000, "tier": 500_001}}, 15),
        ({"multipliers": {"model": 4_000_000, "tier": 1_000_000}}, 30),
        ({"multipliers": {"model": 4_000_000}}, 30),
        ({"multipliers": {}}, 8),
        ({"service": None}, 30),
        ({"service": "fast"}, 60),
    ],
    ids=str,
)
async def test_receipt_that_comes_to_another_price_is_named(ledger, change, price):
    await _change(ledger, "INSERT INTO names (text) VALUES ('fast')")
    call_id = await _rewrite(ledger, **change)

    told = [one for one in (await _verify(ledger, pricer_of=_pricer_of)).breaks if "comes" in one]

    expected = [f"call {call_id}: its receipt comes to {price}, not to 15"]
    assert told == (expected if price != 15 else [])


async def test_price_that_its_receipt_does_not_give_is_named(ledger):
    await _change(ledger, f"UPDATE charges SET price = price + 1, paid = paid + 1 WHERE {CALL}")

    told = (await _verify(ledger, pricer_of=_pricer_of)).breaks

    assert any("its receipt comes to 15, not to 16" in one for one in told)


async def test_price_that_is_not_known_any_more_breaks_nothing(ledger):
    await _rewrite(ledger, price_id=90)

    told = (await _verify(ledger, pricer_of=_pricer_of)).breaks

    assert [one for one in told if "batch 4" not in one] == []


async def _rewrite(engine, **change):
    """Change the last call's receipt; return its id."""
    async with transaction(engine) as tx:
        [row] = await tx.execute(text(f"SELECT * FROM charges WHERE {CALL}"))
        found = await charges.receipt(tx, row.user_id, row.call_id)
        assert found is not None
        names = {one.text: one.id for one in await tx.execute(text("SELECT id, text FROM names"))}
        receipt = replace(found.receipt, **change)
        packed = receipts.pack(row.call_id, receipt, found.billing, names.__getitem__)
        values = {"packed": packed, "call_id": row.call_id}
        await tx.execute(
            text("UPDATE charges SET receipt = :packed WHERE call_id = :call_id"), values
        )
    return row.call_id


async def test_name_that_is_missing_is_told_where_prices_are_computed(ledger):
    await _change(ledger, "DELETE FROM names WHERE text = 'model-1'")

    told = (await _verify(ledger, pricer_of=_pricer_of)).breaks

    assert len(told) == 12
    assert "a name of its receipt is missing" in told[0]


@pytest.mark.parametrize(
    "change",
    [
        {"dialect": "gone"},
        {"outcome": "gone"},
        {"policy": "gone"},
        {"error": "gone"},
        {"service": "gone"},
        {"multipliers": {"gone": 1}},
        {"attempts": (AttemptCost("main"), AttemptCost("gone"))},
        {"attempts": (AttemptCost("main"), AttemptCost("main", None, "gone"))},
    ],
    ids=str,
)
async def test_each_name_of_a_receipt_is_missed(ledger, change):
    await _change(ledger, "INSERT INTO names (text) VALUES ('gone')")
    call_id = await _rewrite(ledger, **change)
    await _change(ledger, "DELETE FROM names WHERE text = 'gone'")

    told = (await _verify(ledger, pricer_of=_pricer_of)).breaks

    assert f"call {call_id}: a name of its receipt is missing" in told


async def test_receipt_that_cannot_be_read_is_told(ledger):
    await _change(ledger, f"UPDATE charges SET receipt = seals.digest FROM seals WHERE {CALL}")

    assert any("cannot be read" in one for one in (await _verify(ledger)).breaks)


async def test_many_breaks_of_a_kind_are_counted(ledger):
    await _change(ledger, "UPDATE charges SET free = free + 1")

    assert "4 more of legs" in (await _verify(ledger)).breaks


async def test_erased_calls_leave_a_sound_ledger(ledger):
    async with transaction(ledger) as tx:
        first = await charges.erase_before(tx, AT + 1.5 * DAY, at=AT + 9 * DAY)
        second = await charges.erase_user(tx, 8, at=AT + 9 * DAY)

    report = await _verify(ledger, pricer_of=_pricer_of)

    assert (first, second, report.charges) == (6, 9, 9)
    assert report.breaks == ()


@pytest.mark.parametrize(
    "statements",
    [
        (f"DELETE FROM charges WHERE {CALL}",),
        ("DELETE FROM charges WHERE batch = 3",),
        (f"UPDATE charges SET cost = cost + 1 WHERE {CALL}",),
        (COPY.format(more=1, batch="1", amounts="0, 0, 0, 0, 0, 0, 0"),),
        (COPY.format(more=1, batch="3", amounts="0, 0, 0, 0, 0, 0, 0"),),
        ("DELETE FROM seals WHERE charges < 0",),
        ("UPDATE entries SET reason = '6 calls were erased' WHERE kind = 'erased'",),
        ("UPDATE usage_days SET calls = calls + 1 WHERE user_id = 8",),
    ],
    ids=lambda statements: statements[0][:60],
)
async def test_changes_of_what_erasing_left_are_found(ledger, statements):
    async with transaction(ledger) as tx:
        await charges.erase_before(tx, AT + 1.5 * DAY, at=AT + 9 * DAY)
        await charges.erase_user(tx, 8, at=AT + 9 * DAY)

    await _change(ledger, *statements)

    assert (await _verify(ledger)).breaks != ()


async def test_newest_entries_wait_for_their_seal(ledger):
    async with transaction(ledger) as tx:
        await budgets.top_up(tx, 7, 5, at=AT, reference=None)

    report = await _verify(ledger)

    assert (report.breaks, report.unsealed) == ((), 1)


async def test_journals_that_cannot_be_reached_are_named(ledger, folder):
    async with transaction(ledger) as tx:
        await journals.register(tx, "far", "elsewhere", AT)
        closed = await journals.register(tx, "done", "elsewhere", AT)
        await journals.close(tx, closed, AT)
    here = await _verify(ledger, folder=folder)
    shutil.rmtree(folder / "w0")

    gone = await _verify(ledger, folder=folder)
    elsewhere = await _verify(ledger)

    assert here.quarantined == ("far, of the place elsewhere",)
    assert gone.quarantined == ("w0, whose folder is missing", "far, of the place elsewhere")
    assert len(elsewhere.quarantined) == 2
    assert gone.breaks == ()


async def test_ledger_of_credits_and_debts_passes(engine, folder):
    journal, place = Journal.open(folder, "w0"), journals.place_of(folder)
    async with transaction(engine) as tx:
        await journals.register(tx, "w0", place, AT)
    for facts in (
        {"funding": Funding.DUE},
        {"funding": Funding.CREDIT, "billing": "codex", "overrun": 1_234_567},
        {"funding": Funding.HOUSE, "price": 0, "cost": 0},
        {"overrun": 1_234_567},
    ):
        journal.reserve()
        journal.write(encode_record(new_record(**facts)))
    journal.close()
    settler = Settler(engine, folder, place, clock=FakeClock(AT), count_keys=_count)
    for _ in range(3):
        await settler.turn()

    report = await _verify(engine, folder=folder)

    assert (report.breaks, report.charges, report.quarantined) == ((), 4, ())
