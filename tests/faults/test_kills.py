"""Processes are killed and stopped under load, and every reply has its one charge."""

import asyncio
import os
import signal

from tests.factories.gateways import wait_for
from tests.faults.conftest import SHORT
from tests.faults.shop import Shop, Sold, until_ended

_ROUNDS = 5 if SHORT else 20
_BUYERS = 8
_DOLLARS = "100"
_NANOS = 100 * 10**9
_ROLES = ("worker", "backstage", "parent", "everything", "worker", "counter")
_RESTARTS = frozenset({"parent", "everything"})


def _assert_books(shop: Shop, crowds: list[list[Sold]]) -> None:
    charged = shop.charged()
    ended = {call for crowd in crowds for sold in crowd for call in sold.ended}
    assert ended, "nothing was sold"
    assert ended - charged.keys() == set(), "replies that ended without a charge"
    assert all(price > 0 for price in charged.values())
    assert shop.balance() == _NANOS - sum(charged.values())
    assert shop.available() == shop.balance()
    shop.verify()


def _assert_unended(shop: Shop, crowds: list[list[Sold]]) -> None:
    """Check that only calls which were under way at a kill or a leave are charged besides."""
    charged = shop.charged()
    sales = [sold for crowd in crowds for sold in crowd]
    ended = {call for sold in sales for call in sold.ended}
    most = 2 * len(sales)  # each customer had one call at the kill, and one at leaving
    assert len(charged.keys() - ended) <= most


async def test_every_reply_that_ended_is_charged_once_whoever_is_killed(open_shop, chance, url):
    shop = open_shop(_DOLLARS, url, METERWAY_WORKERS="2")
    shop.gateway.start()
    crowds: list[list[Sold]] = []
    for round_ in range(_ROUNDS):
        victim = _ROLES[round_] if round_ < len(_ROLES) else chance.choice(_ROLES)
        async with shop.crowd(_BUYERS) as crowd:
            crowds.append(crowd)
            await until_ended(crowd, chance.randrange(1, 60))
            if victim == "everything":
                shop.crash()
            elif victim == "parent":
                shop.gateway.crash()
            else:
                shop.kill(victim, chance)
                await until_ended(crowd, chance.randrange(1, 20))
        if victim in _RESTARTS:
            await asyncio.to_thread(shop.gateway.start)

    await asyncio.to_thread(shop.gateway.stop)
    await asyncio.to_thread(shop.gateway.start)
    await asyncio.to_thread(shop.settled)

    _assert_books(shop, crowds)
    _assert_unended(shop, crowds)
    assert len({call >> 12 & 1023 for call in shop.charged()}) > 2, "who starts anew has new ids"
    sample = sorted(call for sold in crowds[0] for call in sold.ended)[:20]
    receipts = [await asyncio.to_thread(shop.receipt, call) for call in sample]
    assert {receipt["outcome"] for receipt in receipts} == {"completed"}


async def test_a_worker_stopped_past_everything_keeps_its_lease_and_goes_on(open_shop):
    shop = open_shop(_DOLLARS)
    shop.gateway.start()
    async with shop.crowd(_BUYERS) as before:
        await until_ended(before, 20)
        worker = shop.pids("worker")[0]
        os.kill(worker, signal.SIGSTOP)
        try:
            await asyncio.sleep(3 if SHORT else 60)
            leased = shop.leased()
        finally:
            os.kill(worker, signal.SIGCONT)
        await until_ended(before, 20)

    await asyncio.to_thread(wait_for, lambda: shop.leased() == 0, "idle slices to return")
    charged = shop.charged()

    assert leased > 0
    assert {call for sold in before for call in sold.ended} <= charged.keys()
    _assert_books(shop, [before])


async def test_a_record_torn_by_the_end_is_no_charge_and_returns_its_lease(open_shop):
    shop = open_shop(_DOLLARS)
    shop.gateway.start()
    shop.stop_posting()
    sold = Sold()
    for _ in range(5):
        await shop.call(sold, stream=False)
    shop.crash()
    last = max(sold.ended)

    shop.tear_last_record()
    await asyncio.to_thread(shop.gateway.start)
    await asyncio.to_thread(shop.settled)

    assert sold.ended - {last} == shop.charged().keys()
    shop.verify()
