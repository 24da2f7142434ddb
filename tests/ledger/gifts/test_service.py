"""Gifts: a credit ends when its time is over, and a day's free money comes once."""

import pytest

from meterway.db.engine import reading, transaction
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.errors import BadPotError
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.ledger.gifts import service as gifts
from meterway.ledger.gifts.errors import BadCreditError
from tests.factories.purses import available, broken, new_purse, recall, remaining
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock

USER, CC = 7, "cc-omg"
CREDIT = Budget(BudgetKind.CREDIT, USER, CC)
DAY = 86_400.0


async def give(engine, amount, expires_at=None, *, billing=CC, at=1.0, reference=None):
    async with transaction(engine) as tx:
        return await gifts.give_credit(
            tx, USER, billing, amount, at=at, reference=reference, expires_at=expires_at
        )


async def spend(engine, amount, *, back=False):
    """Take from the credit, or give it back, as posted calls and refunds do."""
    async with transaction(engine) as tx:
        delta = amount if back else -amount
        await budgets.adjust(tx, USER, delta, Kind.CREDIT, at=2.0, reference=None, billing=CC)


async def expire(engine, at):
    async with transaction(engine) as tx:
        return await gifts.expire(tx, at=at)


async def balance(engine, billing=CC):
    account = Account(Kind.CREDIT, USER, billing)
    async with reading(engine) as connection:
        return (await books.balances(connection, [account]))[account]


async def left(engine):
    async with reading(engine) as connection:
        return [(one.left, one.expires_at) for one in await gifts.credits_of(connection, USER)]


async def test_what_is_left_of_a_credit_goes_back_at_its_end_by_an_entry(engine):
    await give(engine, 100, 50.0)
    await spend(engine, 30)

    early = await expire(engine, 49.999)
    late = await expire(engine, 50.0)
    again = await expire(engine, 60.0)

    assert (early, late, again) == (0, 1, 0)
    assert (await balance(engine), await left(engine), await available(engine, CREDIT)) == (
        0,
        [],
        0,
    )
    async with reading(engine) as connection:
        (_, entry), *_ = await books.statement(connection, USER)
    assert (entry.kind, entry.at) == ("expiry", 50.0)
    assert dict(entry.postings) == {
        Account(Kind.CREDIT, USER, CC): -70,
        Account(Kind.PROMOTION): 70,
    }
    assert await broken(engine) == []


async def test_what_ends_first_is_spent_first_whatever_was_given_first(engine):
    await give(engine, 10)
    await give(engine, 10, 90.0)
    await give(engine, 10, 50.0)
    await spend(engine, 14)

    await expire(engine, 50.0)
    after_one = await balance(engine)
    await expire(engine, 90.0)

    assert (after_one, await balance(engine)) == (16, 10)
    assert await left(engine) == [(10, None)]


async def test_what_was_spent_before_a_gift_is_not_spent_of_it(engine):
    await give(engine, 10, 90.0)
    await spend(engine, 5)
    await give(engine, 10, 50.0)

    await expire(engine, 50.0)

    assert await balance(engine) == 5
    assert await left(engine) == [(5, 90.0)]


async def test_what_is_refunded_after_the_end_stays(engine):
    await give(engine, 10, 50.0)
    await expire(engine, 50.0)
    await spend(engine, 4, back=True)

    await expire(engine, 60.0)

    assert await balance(engine) == 4


async def test_what_workers_hold_is_recalled_and_taken_once_it_is_back(engine, tmp_path):
    clock = FakeClock()
    purse, journal_id = await new_purse(engine, clock, tmp_path / "board", slice_=40)
    await give(engine, 100, 50.0)
    hold = await purse.borrow((CREDIT,), 40)

    first = await expire(engine, 50.0)
    held = await balance(engine), await recall(engine, CREDIT)
    hold.release()
    await purse.answer_recalls()
    second = await expire(engine, 51.0)

    assert (first, held) == (0, (40, 40))
    assert (second, await balance(engine)) == (1, 0)
    assert await remaining(engine, journal_id, CREDIT) == 0
    assert await broken(engine) == []
    await purse.close()


async def test_channels_and_users_end_apart(engine):
    await give(engine, 10, 50.0)
    await give(engine, 10, 60.0, billing="codex-omg")

    await expire(engine, 55.0)

    assert (await balance(engine), await balance(engine, "codex-omg")) == (0, 10)


async def test_a_credit_given_under_a_reference_is_given_once(engine):
    first = await give(engine, 10, 50.0, reference="promo")
    again = await give(engine, 10, 50.0, reference="promo")

    assert first is not None
    assert again is None
    assert await left(engine) == [(10, 50.0)]


@pytest.mark.parametrize(
    ("amount", "facts", "error"),
    [
        (0, {}, BadPotError),
        (-1, {}, BadPotError),
        (10**19, {}, BadPotError),
        (1, {"expires_at": 1.0}, BadCreditError),
        (1, {"billing": ""}, BadCreditError),
        (1, {"billing": "x" * 33}, BadCreditError),
    ],
)
async def test_absurd_credits_are_refused(sqlite, amount, facts, error):
    with pytest.raises(error):
        await give(sqlite, amount, **facts)

    assert await left(sqlite) == []


async def daily(engine, amount, at, most=100):
    async with transaction(engine) as tx:
        return await gifts.give_daily(tx, amount, at=at, most=most)


async def free_of(engine, user_id):
    async with reading(engine) as connection:
        return (await books.pots(connection, [user_id]))[user_id].free


async def test_free_money_is_filled_up_once_a_day(engine):
    user = await new_user(engine)

    await daily(engine, 100, 10 * DAY)
    async with transaction(engine) as tx:
        await budgets.adjust(tx, user, -30, Kind.FREE, at=2.0, reference=None)
    same_day = await daily(engine, 100, 11 * DAY - 1)
    before = await free_of(engine, user)
    await daily(engine, 100, 11 * DAY)

    assert (same_day, before, await free_of(engine, user)) == (0, 70, 100)
    assert await broken(engine) == []


async def test_who_has_as_much_gets_nothing_that_day(engine):
    user = await new_user(engine)
    async with transaction(engine) as tx:
        await budgets.grant(tx, user, 500, Kind.FREE, at=1.0, reference=None)

    await daily(engine, 100, DAY)
    async with transaction(engine) as tx:
        await budgets.adjust(tx, user, -500, Kind.FREE, at=2.0, reference=None)
    await daily(engine, 100, DAY + 60)

    assert await free_of(engine, user) == 0


async def test_postpaid_and_disabled_users_get_none(engine):
    owing, shut = await new_user(engine, postpaid=True), await new_user(engine)
    async with transaction(engine) as tx:
        await tx.exec_driver_sql(f"UPDATE users SET disabled = true WHERE id = {shut}")

    served = await daily(engine, 100, DAY)

    assert served == 0
    assert (await free_of(engine, owing), await free_of(engine, shut)) == (0, 0)


async def test_many_users_are_served_a_part_at_a_time_and_a_clock_set_back_gives_nothing(engine):
    users = [await new_user(engine) for _ in range(5)]

    served = [await daily(engine, 100, DAY, most=2) for _ in range(4)]
    back = await daily(engine, 100, 0.0)

    assert (served, back) == ([2, 2, 1, 0], 0)
    assert [await free_of(engine, user) for user in users] == [100] * 5
