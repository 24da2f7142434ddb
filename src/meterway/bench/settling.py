"""Hold, journal and settlement by themselves, in this process: real parts, and no HTTP."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.types import Principal
from meterway.bench import payloads, processes, rows
from meterway.bench.shop import MODEL, Customer, Shop, open_shop, proof_of
from meterway.bench.stage import Stage
from meterway.bench.statistics import median
from meterway.bench.types import BenchOptions, Row, Size
from meterway.bench.types import Dialect as Wire
from meterway.catalog.service import Catalog
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.kit.clock import SystemClock
from meterway.kit.ids import CallIds
from meterway.kit.json import decode_top
from meterway.ledger.budgets.board import Board
from meterway.ledger.budgets.purse import Purse
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.writer import Journal
from meterway.ledger.settler import Settler
from meterway.metering.quotes import Pricing
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage
from meterway.relay.billing import Billing
from meterway.relay.record import Attempt, CallRecord, Outcome
from meterway.routing.router import Terms

_CUSTOMERS: Final = 50
_CALLS, _QUICK_CALLS = 20_000, 5_000
_AT_ONCE: Final = 1_000
_JOURNAL: Final = "bench"


@dataclass(frozen=True, slots=True)
class Costs:
    """What calls cost beside their upstream.

    Args:
        micros: Processor time of hold and settlement in a worker per call, of each thousand calls.
        calls: How many were posted.
        cpu: Processor seconds the settler took for them.
        wall: Seconds it took.
        grown: Bytes they take in the database, with all indexes.
        breaks: What a proof of the ledger found afterwards.
    """

    micros: tuple[float, ...]
    calls: int
    cpu: float
    wall: float
    grown: int
    breaks: tuple[str, ...]


async def settling(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Journal calls of fifty customers as a worker does, then settle them on a fresh file."""
    calls = _QUICK_CALLS if options.quick else _CALLS
    folder = stage.folder / "settling"
    folder.mkdir()
    with processes.pinned(stage.cores.measured):
        costs = await measure(folder, calls)
    return figures(costs)


async def measure(folder: Path, calls: int) -> Costs:
    """Hold, charge and settle so many calls in a database and a journal in `folder`."""
    async with open_shop(folder / "shop.db", _CUSTOMERS) as shop:
        async with _billing(shop, folder) as (billing, journal):
            micros = await _journalled(billing, journal, shop, calls)
            settler = _settler(shop.engine, folder)
            before = await _bytes(shop.engine)
            cpu, wall = time.process_time(), time.perf_counter()
            posted = await _settled(settler)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            grown = await _bytes(shop.engine) - before
        settler.close()
        proof = await proof_of(shop)
    return Costs(tuple(micros), posted, cpu, wall, grown, proof.breaks)


def figures(costs: Costs) -> tuple[Row, ...]:
    """Return the rows; a ledger that does not add up makes them invalid."""
    mean = sum(costs.micros) / len(costs.micros)
    each = f"median of thousands; mean {mean:.1f} µs, with what is borrowed from the database"
    took = f"{costs.calls} calls, {costs.cpu:.2f} s of CPU in {costs.wall:.2f} s"
    micros, rate = median(costs.micros), costs.calls / costs.cpu
    size = costs.grown / costs.calls if costs.calls else None
    limit = rows.HOLD_AND_SETTLE_MICROS
    found = (
        rows.at_most("money", "hold and settle, on a worker's path", micros, limit, "µs", each),
        rows.at_least(
            "money", "settler, calls per CPU-second", rate, rows.SETTLED_PER_SECOND, "", took
        ),
        rows.at_most(
            "money", "a call in the database, indexes included", size, rows.BYTES_PER_CALL, "B"
        ),
    )
    return tuple(rows.spoilt(row, costs.breaks) for row in found)


@dataclass(frozen=True, slots=True)
class _Funds:
    """What the worker has."""

    purse: Purse
    journal: Journal


def _terms(name: str) -> Terms:
    return Terms(name, free=False)


@asynccontextmanager
async def _billing(shop: Shop, folder: Path) -> AsyncIterator[tuple[Billing, Journal]]:
    """Open what a worker has of money, on a journal of its own."""
    clock, board = SystemClock(), Board(folder / "recalls")
    journal = Journal.open(folder / "journals", _JOURNAL)
    try:
        place = journals.place_of(folder / "journals")
        async with transaction(shop.engine) as tx:
            number = await journals.register(tx, _JOURNAL, place, clock.now())
        purse = Purse(shop.engine, number, clock, board, workers=1)
        catalog = Catalog()
        pricing = Pricing(catalog, shop.book)
        yield (
            Billing(catalog, pricing, _Funds(purse, journal), _terms),
            journal,
        )
        await purse.close()
    finally:
        journal.close()
        board.close()


async def _journalled(billing: Billing, journal: Journal, shop: Shop, calls: int) -> list[float]:
    """Write the records of so many calls; return microseconds per call, of each thousand."""
    ids, micros = CallIds(0), list[float]()
    body = payloads.request_body(Wire.OPENAI, MODEL, Size.SMALL)
    callers = [_caller(one) for one in shop.customers]  # known by identity, as a worker keeps them
    for start in range(0, calls, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, calls))
        asked = [_asked(ids.next(), body, callers[i % _CUSTOMERS]) for i in some]
        began = time.process_time()
        for call, caller, record in asked:
            tab = await billing.open(call, caller, record)
            tab.close(record, due=True)
        micros.append((time.process_time() - began) / len(asked) * 1e6)
        await journal.sync()
    return micros


def _caller(customer: Customer) -> Principal:
    return Principal(key_id=customer.key_id, user_id=customer.user_id, key_name="sk-bench")


def _asked(call_id: int, body: bytes, caller: Principal) -> tuple[Call, Principal, CallRecord]:
    """Return a call that was just asked, and the record of it when it has ended."""
    record = CallRecord(
        call_id=call_id,
        key_id=caller.key_id,
        user_id=caller.user_id,
        model=MODEL,
        dialect=Dialect.OPENAI_CHAT,
        stream=False,
        began=SystemClock().now(),
        attempts=[_ATTEMPT],
        usage=Usage(input=120, output=60),
        outcome=Outcome.COMPLETED,
        first_byte=0.402_011,
        seconds=3.211_934,
    )
    return Call(call_id, CODECS[Dialect.OPENAI_CHAT], decode_top(body)), caller, record


_ATTEMPT = Attempt(
    channel="bench",
    channel_id=1,
    credential=None,
    model=MODEL,
    dialect=Dialect.OPENAI_CHAT,
    seconds=3.211_934,
    status=200,
)


def _settler(engine: AsyncEngine, folder: Path) -> Settler:
    place = journals.place_of(folder / "journals")
    clock = SystemClock()
    return Settler(engine, folder / "journals", place, clock=clock, count_keys=keys.count_use)


async def _settled(settler: Settler) -> int:
    """Post until nothing is left; return how many calls it were."""
    total = 0
    while posted := await settler.turn():
        total += posted
    return total


async def _bytes(engine: AsyncEngine) -> int:
    """Return the size of a SQLite database, whatever of it lies in the write-ahead log."""
    async with reading(engine) as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        size = (await connection.execute(text("PRAGMA page_size"))).scalar_one()
    return int(pages) * int(size)
