"""What backstage does besides posting: when each chore is due, and what it changes."""

import msgspec
import pytest

from meterway.db.engine import reading, transaction
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import By
from meterway.ledger.gifts import service as gifts
from meterway.ledger.seals import service as seals
from meterway.ledger.verify import verify
from meterway.processes.chores import PAUSE, Chores
from meterway.threads.completions import service as completions
from meterway.threads.types import Cursor, Retention, StoredCompletion
from tests.factories.charges import AT, new_record
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock

DAY = 86_400.0
USER = 7


async def do(chores):
    """Do what is due; return how many chores that were."""
    works = list(chores.due())
    for work in works:
        await work()
    return len(works)


async def post(engine, *records, at=AT):
    """Post calls as the settler does."""
    async with transaction(engine) as tx:
        await books.lock(tx)
        before = await seals.last(tx)
        pots = await books.pots(tx, {record.user_id for record in records}, lock=True)
        posted = await charges.post(tx, charges.Names(), before.batch + 1, records, pots)
        await books.move(tx, posted.deltas)
        await seals.add(tx, before, charges=posted.count, content=posted.digest, at=at)


async def kept(engine):
    async with reading(engine) as connection:
        return await charges.count(connection)


async def test_a_chore_is_due_at_once_and_then_once_a_minute(sqlite):
    clock = FakeClock()
    chores = Chores(sqlite, clock)

    done = [await do(chores)]
    clock.advance(PAUSE - 1)
    done.append(await do(chores))
    clock.advance(1)
    done.append(await do(chores))

    assert done == [4, 0, 4]


async def test_what_was_kept_long_enough_is_deleted_however_much_it_is(engine):
    clock = FakeClock(AT)
    chores = Chores(engine, clock)
    kept = StoredCompletion(
        id="c0",
        user_id=USER,
        key_id=1,
        created_at=AT,
        model="m",
        metadata={},
        messages=b"[]",
        body=b"{}",
        expires_at=Retention(2).end(AT),
    )
    end = Retention(1).end(AT)
    async with transaction(engine) as tx:
        await completions.add(tx, kept)
        for i in range(1, 103):
            await completions.add(tx, msgspec.structs.replace(kept, id=f"c{i}", expires_at=end))

    await do(chores)
    clock.advance(DAY)
    done = [await do(chores) for _ in range(4)]

    async with reading(engine) as connection:
        left = await completions.page(connection, USER, Cursor())
    assert [one.id for one in left.rows] == ["c0"]
    assert done == [4, 1, 1, 0]


async def test_a_credit_that_ended_is_taken_back(engine):
    clock = FakeClock(AT)
    chores = Chores(engine, clock)
    async with transaction(engine) as tx:
        await gifts.give_credit(tx, USER, "cc-omg", 5, at=AT, reference=None, expires_at=AT + 30)

    await do(chores)
    clock.advance(PAUSE)
    await do(chores)

    account = Account(Kind.CREDIT, USER, "cc-omg")
    async with reading(engine) as connection:
        assert (await books.balances(connection, [account]))[account] == 0


async def test_everybody_gets_free_money_however_many_they_are_and_nobody_twice(engine):
    users = [await new_user(engine) for _ in range(103)]
    chores = Chores(engine, FakeClock(AT), daily_free=9)

    done = [await do(chores) for _ in range(4)]

    async with reading(engine) as connection:
        pots = await books.pots(connection, users)
    assert {pots[user].free for user in users} == {9}
    assert done == [5, 1, 1, 0]


async def test_without_the_setting_there_is_none_and_nothing_is_erased(sqlite):
    user = await new_user(sqlite)
    await post(sqlite, new_record(price=0), at=AT)

    await do(Chores(sqlite, FakeClock(AT + 1000 * DAY)))

    async with reading(sqlite) as connection:
        assert (await books.pots(connection, [user]))[user].free == 0
    assert await kept(sqlite) == 1


async def test_calls_are_erased_after_their_time_and_their_sums_stay(engine):
    async with transaction(engine) as tx:
        await budgets.top_up(tx, USER, 100, at=AT, reference=None)
    await post(engine, *[new_record(price=10) for _ in range(3)])
    await post(engine, new_record(price=10, at=AT + 2 * DAY), at=AT + 2 * DAY)
    clock = FakeClock(AT + 30 * DAY)
    chores = Chores(engine, clock, keep_days=30)

    await do(chores)
    before = await kept(engine)
    clock.advance(DAY)
    while await do(chores):
        pass

    assert (before, await kept(engine)) == (4, 1)
    async with reading(engine) as connection:
        sums = await charges.summary(connection, USER, By.KEY, 0, 100_000)
        report = await verify(connection)
    assert [(one.calls, one.price) for one in sums] == [(4, 40)]
    assert [told for told in report.breaks if "budget" not in told] == []


@pytest.mark.parametrize("keep_days", [1, 400])
async def test_erasing_goes_on_until_nothing_is_old_enough(sqlite, keep_days):
    for age in range(3):
        await post(sqlite, new_record(price=0), at=AT + age)
    chores = Chores(sqlite, FakeClock(AT + 10 + keep_days * DAY), keep_days=keep_days)

    while await do(chores):
        pass

    assert await kept(sqlite) == 0
