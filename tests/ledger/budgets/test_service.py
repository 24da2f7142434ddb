"""Budgets: filled and emptied with the books, leased, spent, returned, reclaimed."""

import asyncio

import pytest
from sqlalchemy import text

from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.kit.money import MOST
from meterway.ledger.books import service as books
from meterway.ledger.books.errors import BadEntryError
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.errors import (
    BadPotError,
    InsufficientFundsError,
    LeaseOverdrawnError,
    NotYetPostedError,
    RefundTooLargeError,
)
from meterway.ledger.budgets.types import Budget, BudgetKind, Refundable, Want
from tests.factories.purses import (
    KEY,
    USER,
    WALLET,
    available,
    broken,
    new_journal,
    recall,
    remaining,
    set_cap,
    settle,
    top_up,
)


async def _do(engine, use_case, *args, **facts):
    async with transaction(engine) as tx:
        return await use_case(tx, *args, **facts)


async def _pots(engine, user_id=USER):
    async with reading(engine) as connection:
        return (await books.pots(connection, [user_id]))[user_id]


async def _lease(engine, journal_id, need, *, most=10, budget=WALLET, workers=1, turn=1):
    shares = await _do(
        engine, budgets.lease, journal_id, [Want(budget, need, most)], workers, turn=turn
    )
    return shares[budget]


# -- money with its books ------------------------------------------------------------------------


@pytest.mark.parametrize("pot", [Kind.FREE, Kind.PAID])
@pytest.mark.parametrize("use_case", [budgets.top_up, budgets.grant, budgets.adjust])
async def test_money_put_into_a_pot_is_available(engine, use_case, pot):
    await _do(engine, use_case, USER, 30, pot, at=1.0, reference=None)

    assert await _pots(engine) == Pots(**{pot.value: 30})
    assert await available(engine) == 30
    assert await broken(engine) == []


@pytest.mark.parametrize("use_case", [budgets.top_up, budgets.grant, budgets.adjust])
async def test_repeated_reference_changes_nothing(engine, use_case):
    for _ in range(3):
        await _do(engine, use_case, USER, 30, Kind.PAID, at=1.0, reference="r1")

    assert (await _pots(engine), await available(engine)) == (Pots(paid=30), 30)


async def test_repeated_reference_at_once_changes_nothing(engine):
    await asyncio.gather(
        *(_do(engine, budgets.top_up, USER, 30, at=1.0, reference="r1") for _ in range(8))
    )

    assert (await _pots(engine), await available(engine)) == (Pots(paid=30), 30)


async def test_credit_is_a_budget_of_its_channel(engine):
    await _do(engine, budgets.grant, USER, 9, Kind.CREDIT, at=1.0, reference=None, billing="codex")

    assert await available(engine, Budget(BudgetKind.CREDIT, USER, "codex")) == 9
    assert await available(engine) is None
    assert await broken(engine) == []


@pytest.mark.parametrize(
    ("amount", "pot"),
    [(0, Kind.PAID), (-5, Kind.PAID), (MOST + 1, Kind.PAID), (5, Kind.REVENUE), (5, Kind.CREDIT)],
)
async def test_absurd_grants_are_refused(sqlite, amount, pot):
    with pytest.raises((BadPotError, BadEntryError)):
        await _do(sqlite, budgets.grant, USER, amount, pot, at=1.0, reference=None)

    assert await _pots(sqlite) == Pots()


async def test_adjustment_takes_what_is_free(engine):
    await top_up(engine, 30)

    await _do(engine, budgets.adjust, USER, -10, at=1.0, reference=None)

    assert (await _pots(engine), await available(engine)) == (Pots(paid=20), 20)
    assert await broken(engine) == []


async def test_adjustment_does_not_take_what_calls_hold(engine):
    await top_up(engine, 30)
    await _lease(engine, await new_journal(engine), 25)

    with pytest.raises(InsufficientFundsError, match=r"0\.000000025 USD are held"):
        await _do(engine, budgets.adjust, USER, -10, at=1.0, reference=None)

    assert (await _pots(engine), await available(engine)) == (Pots(paid=30), 5)


async def test_adjustment_does_not_take_from_the_other_pot(engine):
    await top_up(engine, 30)

    with pytest.raises(InsufficientFundsError, match="free money is less"):
        await _do(engine, budgets.adjust, USER, -10, Kind.FREE, at=1.0, reference=None)

    assert (await _pots(engine), await available(engine)) == (Pots(paid=30), 30)


async def test_adjustments_at_once_do_not_overdraw(engine):
    await top_up(engine, 30)

    async def take():
        try:
            await _do(engine, budgets.adjust, USER, -7, at=1.0, reference=None)
        except InsufficientFundsError:
            return 0
        return 1

    taken = await asyncio.gather(*(take() for _ in range(10)))

    assert (sum(taken), await available(engine)) == (4, 2)


# -- refunds -------------------------------------------------------------------------------------


async def _charged(engine):
    """A call paid with 10 free and 6 paid money; return its facts."""
    await _do(engine, budgets.grant, USER, 10, at=1.0, reference=None)
    await top_up(engine, 30)
    journal_id = await new_journal(engine)
    share = await _lease(engine, journal_id, 16, most=0)
    await settle(engine, journal_id, [(share.budget_id, 16)])
    async with reading(engine) as connection:
        rows = await connection.execute(text("SELECT call_id FROM charges"))
        return await budgets.refundable(connection, rows.scalar_one())


async def test_refund_returns_to_the_pots_that_paid_last_ones_first(engine):
    charge = await _charged(engine)

    await _do(engine, budgets.refund, charge, 9, at=1.0, reference=None)
    part = await _pots(engine)
    await _do(engine, budgets.refund, charge, at=1.0, reference=None)

    assert (part, await _pots(engine)) == (Pots(free=3, paid=30), Pots(free=10, paid=30))
    assert await available(engine) == 40
    assert await broken(engine) == []


async def test_no_more_is_refunded_than_was_charged(engine):
    charge = await _charged(engine)

    async def refund():
        try:
            await _do(engine, budgets.refund, charge, 7, at=1.0, reference=None)
        except RefundTooLargeError:
            return 0
        return 1

    refunds = await asyncio.gather(*(refund() for _ in range(6)))

    assert (sum(refunds), await available(engine)) == (2, 24 + 14)
    assert await broken(engine) == []


@pytest.mark.parametrize("amount", [0, -1, 17])
async def test_absurd_refunds_are_refused(sqlite, amount):
    charge = await _charged(sqlite)

    with pytest.raises(RefundTooLargeError, match=r"0\.000000016 USD"):
        await _do(sqlite, budgets.refund, charge, amount, at=1.0, reference=None)


async def test_repeated_refund_changes_nothing(engine):
    charge = await _charged(engine)

    first = await _do(engine, budgets.refund, charge, at=1.0, reference="r")
    again = await _do(engine, budgets.refund, charge, at=1.0, reference="r")

    assert (first is None, again) == (False, None)
    assert await available(engine) == 40


async def test_refund_of_what_is_owed_and_of_credit_goes_back_there(sqlite):
    owed = Refundable(call_id=1, user_id=USER, due=5)
    credit = Refundable(call_id=2, user_id=USER, credit=6, billing="codex")

    await _do(sqlite, budgets.refund, owed, at=1.0, reference=None)
    await _do(sqlite, budgets.refund, credit, at=1.0, reference=None)

    assert await _pots(sqlite) == Pots(due=5)
    assert await available(sqlite) is None
    assert await available(sqlite, Budget(BudgetKind.CREDIT, USER, "codex")) == 6
    assert await broken(sqlite) == []


async def test_refund_of_credit_needs_the_name_of_its_channel(sqlite):
    with pytest.raises(BadPotError):
        await _do(
            sqlite,
            budgets.refund,
            Refundable(call_id=2, user_id=USER, credit=6),
            at=1.0,
            reference=None,
        )


async def test_refund_of_an_unposted_call_comes_later(sqlite):
    with pytest.raises(NotYetPostedError) as caught:
        await _do(sqlite, budgets.refundable, 5)

    assert (caught.value.status, caught.value.retry_after) == (409, 2.0)


# -- leases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("need", "most", "workers", "granted"),
    [
        (1, 10, 1, 10),  # a slice, where there is plenty
        (1, 90, 1, 50),  # no more than a fair part of what is left
        (1, 90, 4, 12),
        (60, 10, 4, 60),  # what is needed, whatever is fair
        (100, 10, 4, 100),
    ],
)
async def test_grant_is_what_is_needed_or_a_fair_slice(sqlite, need, most, workers, granted):
    await top_up(sqlite, 100)
    journal_id = await new_journal(sqlite)

    share = await _lease(sqlite, journal_id, need, most=most, workers=workers)

    assert (share.granted, share.available) == (granted, 100 - granted)
    assert await available(sqlite) == 100 - granted
    assert await remaining(sqlite, journal_id) == granted
    assert await broken(sqlite) == []


async def test_leases_of_a_journal_add_up(engine):
    await top_up(engine, 100)
    journal_id = await new_journal(engine)

    for turn in range(3):
        await _lease(engine, journal_id, 5, most=0, turn=turn)

    assert await remaining(engine, journal_id) == 15
    assert await broken(engine) == []


async def test_all_budgets_of_a_hold_grant_or_none(engine):
    await top_up(engine, 100)
    await set_cap(engine, 3)
    journal_id = await new_journal(engine)
    wants = [Want(WALLET, 5, 10), Want(KEY, 5, 10)]

    shares = await _do(engine, budgets.lease, journal_id, wants, 1, turn=1)

    assert [shares[one].granted for one in (WALLET, KEY)] == [0, 0]
    assert (await available(engine), await available(engine, KEY)) == (100, 3)


async def test_budget_that_does_not_exist_has_no_share(engine):
    journal_id = await new_journal(engine)

    shares = await _do(engine, budgets.lease, journal_id, [Want(WALLET, 5, 10)], 1, turn=1)

    assert shares == {}
    assert await available(engine) is None


async def test_missing_money_is_recalled_where_others_hold_it(engine):
    await top_up(engine, 10)
    rich, poor = await new_journal(engine), await new_journal(engine)
    await _lease(engine, rich, 8, most=0)

    hopeless = await _lease(engine, poor, 11)
    before = await recall(engine)
    short = await _lease(engine, poor, 6)

    assert (hopeless.granted, hopeless.available, hopeless.elsewhere) == (0, 2, 8)
    assert (short.granted, before, await recall(engine)) == (0, 0, 4)
    async with reading(engine) as connection:
        assert (await versions.read(connection))[budgets.RECALLS] == 1
        assert await budgets.recalled(connection, [short.budget_id]) == {short.budget_id}
        assert await budgets.recalled(connection, []) == set()


async def test_what_is_given_back_answers_a_recall(engine):
    await top_up(engine, 10)
    rich, poor = await new_journal(engine), await new_journal(engine)
    budget_id = (await _lease(engine, rich, 8, most=0)).budget_id
    await _lease(engine, poor, 6)

    await _do(engine, budgets.give_back, rich, {budget_id: 5}, turn=2)

    assert (await available(engine), await recall(engine)) == (7, 0)
    assert (await _lease(engine, poor, 6)).granted == 6
    assert await broken(engine) == []


@pytest.mark.parametrize("use_case", [budgets.spent, budgets.give_back])
async def test_lease_is_never_overdrawn(engine, use_case):
    await top_up(engine, 10)
    journal_id, other = await new_journal(engine), await new_journal(engine)
    budget_id = (await _lease(engine, journal_id, 8, most=0)).budget_id
    facts = {"turn": 2} if use_case is budgets.give_back else {}

    for journal, amounts in [
        (journal_id, {budget_id: 9}),
        (journal_id, {budget_id: -1}),
        (other, {budget_id: 1}),
        (journal_id, {budget_id + 1: 1}),
    ]:
        with pytest.raises(LeaseOverdrawnError):
            await _do(engine, use_case, journal, amounts, **facts)

    assert (await available(engine), await remaining(engine, journal_id)) == (2, 8)


async def test_lease_spent_to_its_end_is_forgotten(engine):
    await top_up(engine, 10)
    journal_id = await new_journal(engine)
    budget_id = (await _lease(engine, journal_id, 8, most=0)).budget_id

    await settle(engine, journal_id, [(budget_id, 3)])
    await settle(engine, journal_id, [(budget_id, 5)])

    assert await _do(engine, budgets.turns, journal_id, [budget_id]) == {}
    assert (await _pots(engine), await broken(engine)) == (Pots(paid=2), [])


async def test_settler_spends_nothing_of_no_lease(sqlite):
    await _do(sqlite, budgets.spent, 1, {})

    assert await broken(sqlite) == []


async def test_reclaim_returns_everything_once(engine):
    await top_up(engine, 10)
    await set_cap(engine, 20)
    journal_id = await new_journal(engine)
    await _lease(engine, journal_id, 8, most=0)
    await _lease(engine, journal_id, 4, most=0, budget=KEY)

    first = await _do(engine, budgets.reclaim, journal_id)
    again = await _do(engine, budgets.reclaim, journal_id)

    assert (first, again) == (12, 0)
    assert (await available(engine), await available(engine, KEY)) == (10, 20)


async def test_turns_tell_the_last_change_of_a_lease(engine):
    await top_up(engine, 10)
    journal_id = await new_journal(engine)
    budget_id = (await _lease(engine, journal_id, 3, most=0, turn=4)).budget_id
    await _do(engine, budgets.give_back, journal_id, {budget_id: 1}, turn=6)
    await settle(engine, journal_id, [(budget_id, 1)])

    found = await _do(engine, budgets.turns, journal_id, [budget_id, budget_id + 1])

    assert found == {budget_id: 6}


async def test_cap_below_what_is_used_grants_nothing(engine):
    await set_cap(engine, 20)
    journal_id = await new_journal(engine)
    await _lease(engine, journal_id, 8, most=0, budget=KEY)

    await set_cap(engine, 10, used=5)
    lowered = await available(engine, KEY)
    share = await _lease(engine, journal_id, 1, budget=KEY)
    await set_cap(engine, 30, used=5)

    assert (lowered, share.granted, share.available) == (-3, 0, 0)
    assert await available(engine, KEY) == 17


async def test_holds_at_once_never_lease_more_than_there_is(engine):
    await top_up(engine, 100)
    journals = [await new_journal(engine) for _ in range(4)]

    shares = await asyncio.gather(
        *(_lease(engine, journals[n % 4], 7, most=0, turn=n) for n in range(40))
    )

    assert sum(share.granted for share in shares) == 98
    assert (await available(engine), await broken(engine)) == (2, [])


async def test_everybody_who_moves_money_at_once_gets_through(engine):
    await top_up(engine, 1000)
    journals = [await new_journal(engine) for _ in range(3)]
    dead = await new_journal(engine)
    budget_id = (await _lease(engine, dead, 50, most=0)).budget_id

    async def worker(journal_id):
        for turn in range(6):
            share = await _lease(engine, journal_id, 10, most=0, turn=turn)
            await settle(engine, journal_id, [(share.budget_id, 4)])
            await _do(engine, budgets.give_back, journal_id, {budget_id: 6}, turn=turn)

    async def operator():
        for _ in range(6):
            await top_up(engine, 10)
            await _do(engine, budgets.adjust, USER, -10, at=1.0, reference=None)

    await asyncio.gather(*map(worker, journals), operator(), _do(engine, budgets.reclaim, dead))

    assert await available(engine) == 1000 - 3 * 6 * 4
    assert await broken(engine) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE budgets SET available = available + 1", "budget wallet  of 7 exceeds"),
        ("UPDATE leases SET remaining = -1", "holds -1"),
        ("DELETE FROM leases", "budget wallet  of 7 exceeds its balance by -8"),
    ],
)
async def test_budget_that_contradicts_its_balance_is_told(engine, change, told):
    await top_up(engine, 10)
    await _lease(engine, await new_journal(engine), 8, most=0)

    async with transaction(engine) as tx:
        await tx.execute(text(change))

    assert told in " ".join(await broken(engine))


async def test_balance_without_a_budget_is_told(engine):
    async with transaction(engine) as tx:
        await books.move(tx, {Account(Kind.PAID, USER): 5})

    assert any("budget wallet" in line for line in await broken(engine))
