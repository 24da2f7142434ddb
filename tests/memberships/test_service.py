"""Buying membership: the tier and the money move together, or neither does."""

import asyncio
from datetime import UTC, datetime

import pytest

from meterway.accounts import service as accounts
from meterway.accounts.types import Tier
from meterway.db.engine import reading, transaction
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.memberships import service as memberships
from meterway.memberships.errors import BalanceHeldError, OtherMembershipError, TierNotSoldError
from tests.factories.purses import broken, new_purse
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock

PRICES = {Tier.VIP: 10, Tier.PREMIUM: 0}


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = moment("2027-01-31T08:30:00")


async def member(engine, *, paid=0, free=0, tier=Tier.NORMAL, until=None):
    user = await new_user(engine)
    async with transaction(engine) as tx:
        for amount, pot in ((paid, Kind.PAID), (free, Kind.FREE)):
            if amount:
                await budgets.top_up(tx, user, amount, pot, at=1.0, reference=None)
        await accounts.set_tier(tx, user, tier, until)
    return user


async def buy(engine, user, tier=Tier.VIP, months=1, now=NOW):
    async with transaction(engine) as tx:
        return await memberships.buy(tx, user, tier, months, PRICES, now=now)


async def state(engine, user):
    async with reading(engine) as connection:
        pots = (await books.pots(connection, [user]))[user]
        found = await accounts.by_id(connection, user)
    assert found is not None
    return pots, found.tier, found.tier_expires_at


async def test_months_are_paid_from_ones_own_money_to_the_house(engine):
    user = await member(engine, paid=25, free=100)

    end, cost = await buy(engine, user, months=2)

    assert (end, cost) == (moment("2027-03-31T08:30:00"), 20)
    assert await state(engine, user) == (Pots(free=100, paid=5), Tier.VIP, end)
    async with reading(engine) as connection:
        house = Account(Kind.REVENUE)
        assert (await books.balances(connection, [house]))[house] == 20
        (_, entry), *_ = await books.statement(connection, user)
    assert entry.kind == "membership"
    assert await broken(engine) == []


async def test_a_month_that_lacks_the_day_ends_on_its_last(engine):
    user = await member(engine, paid=100)

    end, _ = await buy(engine, user)

    assert end == moment("2027-02-28T08:30:00")


@pytest.mark.parametrize(("months", "ends"), [(11, "2027-12-31"), (12, "2028-01-31")])
async def test_years_are_counted_on(sqlite, months, ends):
    user = await member(sqlite, paid=1000)

    end, _ = await buy(sqlite, user, months=months)

    assert end == moment(f"{ends}T08:30:00")


async def test_months_of_the_same_tier_come_after_its_end(engine):
    user = await member(engine, paid=100, tier=Tier.VIP, until=moment("2027-06-15T00:00:00"))

    end, _ = await buy(engine, user)

    assert end == moment("2027-07-15T00:00:00")


async def test_what_is_over_is_bought_from_now_on(engine):
    user = await member(engine, paid=100, tier=Tier.PREMIUM, until=NOW)

    end, _ = await buy(engine, user)

    assert end == moment("2027-02-28T08:30:00")


async def test_free_money_buys_no_membership(engine):
    user = await member(engine, paid=9, free=100)

    with pytest.raises(InsufficientBalanceError):
        await buy(engine, user)

    assert await state(engine, user) == (Pots(free=100, paid=9), Tier.NORMAL, None)


@pytest.mark.parametrize("until", [NOW + 60, None])
async def test_another_tier_or_one_for_ever_is_left_as_it_is(engine, until):
    tier = Tier.PREMIUM if until else Tier.VIP
    user = await member(engine, paid=100, tier=tier, until=until)

    with pytest.raises(OtherMembershipError):
        await buy(engine, user)

    assert await state(engine, user) == (Pots(paid=100), tier, until)


async def test_a_tier_without_a_price_is_not_sold_and_one_at_nothing_is(engine):
    user = await member(engine)
    async with transaction(engine) as tx:
        with pytest.raises(TierNotSoldError, match="sold here: none"):
            await memberships.buy(tx, user, Tier.VIP, 1, {}, now=NOW)

    _, cost = await buy(engine, user, Tier.PREMIUM)

    assert cost == 0
    assert (await state(engine, user))[1] is Tier.PREMIUM


async def test_what_calls_hold_buys_nothing(engine, tmp_path):
    user = await member(engine, paid=15)
    purse, _ = await new_purse(engine, FakeClock(), tmp_path / "board", slice_=0)
    hold = await purse.borrow((Budget(BudgetKind.WALLET, user),), 6)

    with pytest.raises(BalanceHeldError):
        await buy(engine, user)
    hold.release()
    await purse.close()
    _, cost = await buy(engine, user)

    assert cost == 10
    assert await broken(engine) == []


async def test_of_two_who_buy_with_the_same_money_one_does(engine):
    user = await member(engine, paid=15)

    done = await asyncio.gather(buy(engine, user), buy(engine, user), return_exceptions=True)

    assert sorted(type(one).__name__ for one in done) == ["InsufficientBalanceError", "tuple"]
    pots, _, end = await state(engine, user)
    assert (pots.paid, end) == (5, moment("2027-02-28T08:30:00"))
