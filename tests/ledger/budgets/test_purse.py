"""The purse: holds from memory, loans, recalls, returns, and everything that can fail between."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from meterway.db.engine import open_engine, transaction
from meterway.kit.errors import UnavailableError
from meterway.ledger.budgets.board import Board
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.purse import LOOK
from meterway.ledger.budgets.types import Budget, BudgetKind
from tests.factories.purses import (
    KEY,
    WALLET,
    Weather,
    available,
    broken,
    known,
    new_purse,
    remaining,
    set_cap,
    settle,
    top_up,
)
from tests.fakes.clock import FakeClock

ONE, BOTH = (WALLET,), (WALLET, KEY)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def board(tmp_path):
    return tmp_path / "recalls"


@pytest.fixture
async def purse(engine, clock, board):
    made, _ = await new_purse(engine, clock, board)
    yield made
    await made.close()


async def _until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def _is_exact(engine, purse, journal_id, budget=WALLET):
    """Whether memory offers just what the lease holds, with nothing unposted."""
    return sum(known(purse, budget)) == await remaining(engine, journal_id, budget)


# -- holding -------------------------------------------------------------------------------------


async def test_nothing_is_taken_that_was_not_borrowed(purse):
    assert purse.take(ONE, 1) is None


async def test_loan_is_a_hold_and_leaves_a_slice_in_memory(engine, purse):
    await top_up(engine, 100)

    taken = await purse.borrow(ONE, 4)

    assert (taken.amount, known(purse), await available(engine)) == (4, (6, 4), 90)
    assert purse.take(ONE, 7) is None
    assert purse.take(ONE, 6) is not None
    assert known(purse) == (0, 10)


async def test_a_fast_spender_asks_the_database_ever_less(engine, clock, board):
    asked = 0

    @asynccontextmanager
    async def counted(opened):
        nonlocal asked
        asked += 1
        async with transaction(opened) as tx:
            yield tx

    purse, journal_id = await new_purse(engine, clock, board, slice_=10, opened=counted)
    await top_up(engine, 10_000)

    for _ in range(1_000):
        taken = purse.take(ONE, 1) or await purse.borrow(ONE, 1)
        taken.close(1)

    assert asked == 7  # 10, 20, 40, 80, 160, 320, 640
    assert await remaining(engine, journal_id) == 1_270
    await purse.close()


@pytest.mark.parametrize(
    ("spent", "covered", "overrun"),
    [(0, 0, 0), (3, 3, 0), (4, 4, 0), (9, 9, 0), (10, 10, 0), (12, 10, 2)],
)
async def test_price_is_covered_by_the_hold_then_by_the_lease(
    engine, purse, spent, covered, overrun
):
    await top_up(engine, 100)
    taken = await purse.borrow(ONE, 4)

    takes, rest = taken.close(spent)

    assert ([amount for _, amount in takes], rest) == ([covered] if covered else [], overrun)
    assert known(purse) == (10 - covered, 0)


async def test_all_budgets_cover_the_same_amount(engine, purse):
    await top_up(engine, 100)
    await set_cap(engine, 14)
    taken = await purse.borrow(BOTH, 5)

    takes, overrun = taken.close(9)

    assert ([amount for _, amount in takes], overrun) == ([7, 7], 2)
    assert len({budget_id for budget_id, _ in takes}) == 2
    assert (known(purse), known(purse, KEY)) == ((3, 0), (0, 0))


async def test_hold_ends_once(engine, purse):
    await top_up(engine, 100)
    taken = await purse.borrow(ONE, 4)

    taken.release()
    taken.release()

    assert known(purse) == (10, 0)
    with pytest.raises(RuntimeError):
        taken.close(1)
    with pytest.raises(RuntimeError):
        (await purse.borrow(ONE, 4)).close(-1)


async def test_two_budgets_are_held_together_or_not_at_all(engine, purse):
    await top_up(engine, 100)
    await set_cap(engine, 3)
    await purse.borrow(ONE, 1)

    with pytest.raises(InsufficientBalanceError, match="max_fee"):
        await purse.borrow(BOTH, 5)

    assert (known(purse), known(purse, KEY)) == ((9, 1), (0, 0))
    assert (await purse.borrow(BOTH, 3)).close(3)[1] == 0
    assert await broken(engine) == []


@pytest.mark.parametrize("kind", list(BudgetKind))
async def test_refusal_says_what_ran_out(sqlite, clock, board, kind):
    purse, _ = await new_purse(sqlite, clock, board)

    with pytest.raises(InsufficientBalanceError) as caught:
        await purse.borrow((Budget(kind, 1, "x"),), 5)

    assert (caught.value.status, len(caught.value.message) > 40) == (402, True)
    assert clock.slept == []


async def test_call_that_is_too_dear_does_not_stop_those_behind_it(engine, purse):
    await top_up(engine, 20)

    results = await asyncio.gather(
        *(purse.borrow(ONE, amount) for amount in (50, 9, 30, 11)), return_exceptions=True
    )

    held = [getattr(one, "amount", None) for one in results]
    assert held == [None, 9, None, 11]


async def test_top_up_helps_at_once(engine, purse):
    with pytest.raises(InsufficientBalanceError):
        await purse.borrow(ONE, 5)

    await top_up(engine, 5)

    assert (await purse.borrow(ONE, 5)).amount == 5


# -- many at once --------------------------------------------------------------------------------


async def _drive(calls, purses, clock):
    """Let time pass only while every waiting call sleeps, and answer recalls meanwhile."""
    async with asyncio.timeout(60):
        while not all(call.done() for call in calls):
            if clock._sleepers and len(clock._sleepers) >= sum(len(one._desks) for one in purses):
                for one in purses:
                    await one.answer_recalls()
                clock.advance(LOOK)
            await asyncio.sleep(0)


@pytest.mark.parametrize("count", [1, 4])
async def test_balance_for_k_of_a_thousand_calls_admits_exactly_k(engine, board, count):
    k, unit = 137, 1000
    await top_up(engine, k * unit + unit - 1)
    await set_cap(engine, 10 * k * unit)
    clock = FakeClock(patient=True)
    url = engine.url.render_as_string(hide_password=False)
    engines = [open_engine(url) for _ in range(count)]
    made = [await new_purse(one, clock, board, workers=count, slice_=2718) for one in engines]
    purses = [purse for purse, _ in made]

    calls = [asyncio.ensure_future(purses[n % count].borrow(BOTH, unit)) for n in range(1000)]
    await _drive(calls, purses, clock)

    taken = [call.result() for call in calls if call.exception() is None]
    refused = [call.exception() for call in calls if call.exception() is not None]
    assert (len(taken), {type(one) for one in refused}) == (k, {InsufficientBalanceError})
    assert await broken(engine) == []
    for hold in taken:
        hold.release()
    for purse, one in zip(purses, engines, strict=True):
        await purse.close()
        assert known(purse) == (0, 0)
        await one.dispose()
    assert await available(engine) == k * unit + unit - 1
    assert await available(engine, KEY) == 10 * k * unit


async def test_spending_everything_leaves_nothing_and_overdraws_nothing(engine, board, clock):
    await top_up(engine, 100)
    (a, a_id), (b, b_id) = [await new_purse(engine, clock, board, workers=2) for _ in range(2)]
    spent = 0

    for purse, journal_id in [(a, a_id), (b, b_id)] * 12:
        try:
            taken = await purse.borrow(ONE, 9)
        except InsufficientBalanceError:
            await a.answer_recalls()
            await b.answer_recalls()
            continue
        takes, overrun = taken.close(9)
        spent += 9 - overrun
        await settle(engine, journal_id, takes)
        assert await broken(engine) == []

    assert spent == 99
    await a.close()
    await b.close()
    assert await available(engine) == 1


# -- recalls -------------------------------------------------------------------------------------


async def test_waiting_call_gets_what_another_worker_has_idle(engine, board):
    await top_up(engine, 100)
    clock = FakeClock(patient=True)
    rich, _ = await new_purse(engine, clock, board, slice_=100)
    poor, _ = await new_purse(engine, clock, board)
    (await rich.borrow(ONE, 90)).release()
    assert not rich.heard()

    call = asyncio.ensure_future(poor.borrow(ONE, 50))
    await _until(lambda: clock._sleepers)
    assert rich.heard()
    await rich.answer_recalls()
    clock.advance(LOOK)

    assert (await call).amount == 50
    assert (known(rich), rich.heard()) == ((0, 0), False)
    assert await broken(engine) == []


async def test_what_calls_hold_is_not_recalled_and_the_wait_ends(engine, board):
    await top_up(engine, 100)
    clock = FakeClock()
    rich, _ = await new_purse(engine, clock, board)
    poor, _ = await new_purse(engine, clock, board)
    await rich.borrow(ONE, 90)

    with pytest.raises(InsufficientBalanceError):
        await poor.borrow(ONE, 50)

    assert sum(clock.slept) == pytest.approx(0.25)
    await rich.answer_recalls()
    assert known(rich) == (0, 90)


async def test_two_who_wait_for_each_other_do_not_both_starve(engine, board):
    await top_up(engine, 60)
    clock = FakeClock(patient=True)
    made = [await new_purse(engine, clock, board, workers=1, slice_=30) for _ in range(2)]
    purses = [purse for purse, _ in made]
    for purse in purses:
        (await purse.borrow(ONE, 30)).release()

    calls = [asyncio.ensure_future(purse.borrow(ONE, 40)) for purse in purses]
    await _drive(calls, purses, clock)

    assert sorted(call.exception() is None for call in calls) == [False, True]
    assert await broken(engine) == []


def test_board_is_one_for_all_who_open_it(board):
    one, other = Board(board), Board(board)

    one.bump()

    assert [other.moved(), other.moved(), one.moved()] == [True, False, True]
    one.close()
    other.bump()
    assert other.moved()
    other.close()


# -- returning -----------------------------------------------------------------------------------


async def test_idle_money_returns_after_two_seconds(engine, clock, board):
    await top_up(engine, 100)
    purse, _ = await new_purse(engine, clock, board)
    taken = await purse.borrow(ONE, 4)
    seen = []

    for second in range(6):
        if second == 2:
            taken.release()
        await purse.tick(float(second))
        seen.append(sum(known(purse)))

    assert seen == [10, 10, 10, 10, 0, 0]
    assert (await available(engine), purse._rooms) == (100, {})
    assert await broken(engine) == []


async def test_held_money_stays_while_the_idle_rest_returns(engine, purse):
    await top_up(engine, 100)
    taken = await purse.borrow(ONE, 4)

    for second in range(4):
        await purse.tick(float(second))

    assert (known(purse), await available(engine)) == ((0, 4), 96)
    assert taken.close(7)[1] == 3


async def test_worker_answers_and_returns_by_itself(engine, board):
    await top_up(engine, 100)
    clock = FakeClock(patient=True)
    rich, _ = await new_purse(engine, clock, board, slice_=100)
    poor, _ = await new_purse(engine, clock, board)
    (await rich.borrow(ONE, 90)).release()
    running = asyncio.ensure_future(rich.run())
    call = asyncio.ensure_future(poor.borrow(ONE, 95))

    async def pass_time(condition):
        async with asyncio.timeout(20):
            while not condition():
                if len(clock._sleepers) == 1 + len(poor._desks):
                    clock.advance(LOOK)
                await asyncio.sleep(0)

    await pass_time(call.done)
    assert call.result().amount == 95
    assert (await rich.borrow(ONE, 5)).close(0) == ((), 0)
    await pass_time(lambda: known(rich) == (0, 0))

    running.cancel()
    await asyncio.wait([running])
    assert await broken(engine) == []


async def test_stopping_worker_returns_what_is_idle_and_lends_no_more(engine, clock, board):
    await top_up(engine, 100)
    purse, journal_id = await new_purse(engine, clock, board)
    taken = await purse.borrow(ONE, 4)

    await purse.close()

    assert (await available(engine), await remaining(engine, journal_id)) == (96, 4)
    with pytest.raises(UnavailableError):
        await purse.borrow(ONE, 1)
    assert taken.close(4)[1] == 0


async def test_worker_that_stopped_looks_no_more(engine, board):
    await top_up(engine, 100)
    clock = FakeClock(patient=True)
    purse, _ = await new_purse(engine, clock, board)
    running = asyncio.ensure_future(purse.run())
    await _until(lambda: clock._sleepers)

    await purse.close()
    clock.advance(5)

    await asyncio.wait_for(running, 5)
    assert not purse._tasks._running


# -- failures ------------------------------------------------------------------------------------


async def test_failing_database_refuses_for_now_and_leaks_nothing(engine, clock, board):
    await top_up(engine, 100)
    purse, journal_id = await new_purse(engine, clock, board, opened=Weather("down"))

    results = await asyncio.gather(
        *(purse.borrow(ONE, 4) for _ in range(3)), return_exceptions=True
    )

    assert [getattr(one, "retry_after", None) for one in results] == [1.0] * 3
    assert (known(purse), await available(engine)) == ((0, 0), 100)
    await purse.borrow(ONE, 4)
    assert await _is_exact(engine, purse, journal_id)


@pytest.mark.parametrize("word", ["lost", "undone"])
async def test_grant_whose_commit_got_lost_is_trusted_once_it_is_seen(engine, clock, board, word):
    await top_up(engine, 100)
    await set_cap(engine, 100)
    purse, journal_id = await new_purse(engine, clock, board, opened=Weather(word))

    with pytest.raises(UnavailableError):
        await purse.borrow(BOTH, 4)
    offered = known(purse)
    taken = await purse.borrow(BOTH, 4)

    assert (offered, taken.amount) == ((0, 0), 4)
    assert await _is_exact(engine, purse, journal_id)
    assert await _is_exact(engine, purse, journal_id, KEY)
    assert await available(engine) == 90
    assert await broken(engine) == []


@pytest.mark.parametrize("word", ["lost", "undone", "down"])
@pytest.mark.parametrize("spent", [0, 10])
async def test_return_whose_commit_got_lost_is_not_spent(engine, clock, board, word, spent):
    await top_up(engine, 10)
    purse, journal_id = await new_purse(
        engine, clock, board, slice_=20, opened=Weather("fine", "fine", word)
    )
    first = await purse.borrow(ONE, 5)
    second = await purse.borrow(ONE, 5)
    takes, _ = first.close(5 if spent else 0)
    second.release()

    await _tick_thrice(purse)
    offered = sum(known(purse))
    await settle(engine, journal_id, takes)

    assert offered <= await remaining(engine, journal_id)
    await _tick_thrice(purse)
    assert (known(purse), await remaining(engine, journal_id)) == ((0, 0), 0)
    assert await available(engine) == (5 if spent else 10)
    assert await broken(engine) == []


async def _tick_thrice(purse):
    for second in (0.0, 1.0, 2.0, 3.0):
        await purse.tick(second)


async def test_doubt_lasts_as_long_as_the_database_is_down(engine, clock, board):
    await top_up(engine, 100)
    weather = Weather("lost", "down", "lost", "fine", "down")
    purse, journal_id = await new_purse(engine, clock, board, opened=weather)

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await purse.borrow(ONE, 4)
        assert known(purse) == (0, 0)
    taken = await purse.borrow(ONE, 4)

    assert taken.amount == 4
    assert await _is_exact(engine, purse, journal_id)


class _Gate:
    """An opener that waits at one step of its first transaction until it is let through."""

    def __init__(self, step):
        self.step = step
        self.reached, self.free = asyncio.Event(), asyncio.Event()

    async def _pass(self, step):
        if step == self.step and not self.reached.is_set():
            self.reached.set()
            await self.free.wait()

    @asynccontextmanager
    async def __call__(self, engine):
        await self._pass("opening")
        async with transaction(engine) as tx:
            await self._pass("opened")
            yield tx
            await self._pass("committing")
        await self._pass("committed")


STEPS = ["opening", "opened", "committing", "committed"]


@pytest.mark.parametrize("step", STEPS)
async def test_call_cancelled_while_it_borrows_holds_nothing(engine, clock, board, step):
    await top_up(engine, 100)
    gate = _Gate(step)
    purse, journal_id = await new_purse(engine, clock, board, opened=gate)
    call = asyncio.ensure_future(purse.borrow(ONE, 4))
    await gate.reached.wait()

    call.cancel()
    await asyncio.wait([call])
    gate.free.set()
    await purse._tasks.drain()

    assert call.cancelled()
    assert known(purse)[1] == 0
    assert await _is_exact(engine, purse, journal_id)


@pytest.mark.parametrize("step", STEPS)
async def test_loan_cancelled_as_a_whole_leaks_nothing(engine, clock, board, step):
    await top_up(engine, 100)
    gate = _Gate(step)
    purse, journal_id = await new_purse(engine, clock, board, opened=gate)
    call = asyncio.ensure_future(purse.borrow(ONE, 4))
    await gate.reached.wait()

    await purse._tasks.cancel()
    await asyncio.wait([call])
    taken = await purse.borrow(ONE, 4)

    assert (call.cancelled(), taken.amount) == (True, 4)
    assert await _is_exact(engine, purse, journal_id)
    assert await broken(engine) == []


@pytest.mark.parametrize("step", STEPS)
async def test_return_cancelled_at_any_step_leaks_nothing(engine, clock, board, step):
    await top_up(engine, 100)
    gate = _Gate(None)
    purse, journal_id = await new_purse(engine, clock, board, opened=gate)
    (await purse.borrow(ONE, 4)).release()
    gate.step = step
    closing = asyncio.ensure_future(purse.close())
    await gate.reached.wait()

    closing.cancel()
    await asyncio.wait([closing])
    offered = sum(known(purse))

    assert offered <= await remaining(engine, journal_id)
    await _tick_thrice(purse)
    assert (known(purse), await available(engine)) == ((0, 0), 100)


async def test_call_cancelled_after_any_number_of_steps_holds_nothing(engine, clock, board):
    await top_up(engine, 10_000)
    purse, journal_id = await new_purse(engine, clock, board, slice_=0)
    ends = set()

    for steps in range(0, 200, 5):
        call = asyncio.ensure_future(purse.borrow(ONE, 4 + known(purse)[0]))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await purse._tasks.drain()
        if not call.cancelled():
            call.result().release()
        ends.add(call.cancelled())
        assert known(purse)[1] == 0

    assert True in ends
    assert await _is_exact(engine, purse, journal_id)
    assert await broken(engine) == []


async def test_loan_cut_in_the_middle_of_its_answers_leaks_nothing(engine, clock, board):
    await top_up(engine, 10_000)
    purse, journal_id = await new_purse(engine, clock, board, slice_=0)

    for steps in range(0, 120, 5):
        call = asyncio.ensure_future(purse.borrow(ONE, 4 + known(purse)[0]))
        for _ in range(steps):
            await asyncio.sleep(0)
        await purse._tasks.cancel()
        await asyncio.wait([call])
        if not call.cancelled():
            call.result().release()
        assert sum(known(purse)) <= await remaining(engine, journal_id)

    (await purse.borrow(ONE, 1 + known(purse)[0])).release()
    assert await _is_exact(engine, purse, journal_id)
    assert await broken(engine) == []


async def test_worker_keeps_returning_after_a_failure_nobody_foresaw(sqlite, clock, board):
    await top_up(sqlite, 100)
    purse, journal_id = await new_purse(sqlite, clock, board)
    (await purse.borrow(ONE, 4)).release()
    purse._journal_id = 999  # no such journal: its lease cannot be lowered
    running = asyncio.ensure_future(purse.run())

    await _until(lambda: sum(clock.slept) > 4)
    purse._journal_id = journal_id
    await _until(lambda: known(purse) == (0, 0))

    running.cancel()
    await asyncio.wait([running])
    await purse.close()
    assert await available(sqlite) == 100


async def test_served_call_that_is_cancelled_before_it_wakes_gives_its_hold_back(engine, purse):
    await top_up(engine, 100)
    call = asyncio.ensure_future(purse.borrow(ONE, 4))
    await _until(lambda: known(purse)[1] == 4)

    call.cancel()
    await asyncio.wait([call])

    assert (call.cancelled(), known(purse)) == (True, (10, 0))


async def test_unexpected_error_reaches_whoever_waits(sqlite, clock, board):
    await top_up(sqlite, 100)
    purse, _ = await new_purse(sqlite, clock, board)
    purse._journal_id = 999  # no such journal

    with pytest.raises(Exception, match="FOREIGN KEY"):
        await purse.borrow(ONE, 4)

    assert (known(purse), await available(sqlite)) == ((0, 0), 100)


async def test_room_somebody_waits_for_is_not_forgotten(engine, board):
    await top_up(engine, 100)
    clock = FakeClock(patient=True)
    rich, _ = await new_purse(engine, clock, board)
    poor, journal_id = await new_purse(engine, clock, board)
    hold = await rich.borrow(ONE, 90)

    call = asyncio.ensure_future(poor.borrow(ONE, 50))
    await _until(lambda: clock._sleepers)
    for second in range(4):
        await poor.tick(float(second))
    hold.release()
    await rich.answer_recalls()
    clock.advance(LOOK)

    assert (await call).amount == 50
    assert await _is_exact(engine, poor, journal_id)
