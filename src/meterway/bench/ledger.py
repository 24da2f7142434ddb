"""A large ledger: proving it, and reading one user's calls out of a million."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from meterway.bench import processes, rows
from meterway.bench.errors import BenchError
from meterway.bench.report import number
from meterway.bench.shop import MODEL, Customer, Shop, open_shop, proof_of
from meterway.bench.stage import Stage
from meterway.bench.statistics import median
from meterway.bench.types import BenchOptions, Row, Say
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.kit.clock import SystemClock
from meterway.kit.ids import day, first_id, moment
from meterway.kit.money import Nanos
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.ledger.charges import receipts
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import AttemptCost, Filters, Receipt
from meterway.ledger.seals import service as seals
from meterway.metering.pricing import price
from meterway.protocols.usage import Usage, UsageSource

_POSTINGS: Final = 1_000_000
_LEGS: Final = 4
"""What a call moves: its user's money, the revenue, our cost, and what is owed to the upstream."""

_PAGED: Final = 1_000_000
_CUSTOMERS: Final = 50
_DAY: Final = 86_400.0
_MONTH: Final = 30 * _DAY
_SEALED_AT_ONCE: Final = 1_000
_TOLD_AT_ONCE: Final = 100_000
_KINDS: Final = 1_000  # of receipts
_RARE, _RARITY = "rare", 10_000
_PAGE, _LONG_PAGE = 50, 1_000
_READS: Final = 5
_CHANNEL: Final = 1
_ALL = Filters()
_NAMES = {MODEL: 1, _RARE: 2, "openai_chat": 3, "completed": 4, "main": 5}
_ADD_CHARGE = "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_DAY = (
    "INSERT INTO usage_days VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, "
    "input_tokens = input_tokens + excluded.input_tokens, "
    "output_tokens = output_tokens + excluded.output_tokens, price = price + excluded.price"
)
_Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt as charges keep it, and what its call read, wrote, was charged and cost us."""

    receipt: bytes
    read: int
    written: int
    price: Nanos
    cost: Nanos


async def ledger(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Write a sound ledger of a million postings and prove it; then a user's million calls."""
    del options
    folder = stage.folder / "ledger"
    folder.mkdir()
    with processes.pinned(stage.cores.measured):
        return await measure(folder, _POSTINGS // _LEGS, _PAGED, stage.say)


async def measure(folder: Path, calls: int, paged: int, say: Say) -> tuple[Row, ...]:
    """Prove a ledger of so many calls in `folder`, then read one user's of so many more."""
    file = folder / "ledger.db"
    async with open_shop(file, _CUSTOMERS) as shop:
        kinds = _kinds(shop)
        made = _calls(shop.customers, kinds, calls, place=0)
        await _account_for(shop, await _write(file, made, calls, say))
        say(f"ledger: proving {calls:,} calls")
        proved = await _proved(shop, calls)
        await _write(file, _calls(shop.customers[:1], kinds, paged, place=1), paged, say)
        say("ledger: reading pages")
        return (proved, *await _paged(shop, paged))


# -- writing ---------------------------------------------------------------------------------------


def _kinds(shop: Shop) -> list[Kept]:
    """Return receipts of many sizes, priced by the shop's book."""
    return [_kept(shop, Usage(input=500 + 7 * i, output=100 + i)) for i in range(_KINDS)]


def _kept(shop: Shop, usage: Usage) -> Kept:
    amount = price(usage, shop.book.rates_of(shop.price), ())
    cost = amount // 2
    receipt = Receipt(
        dialect="openai_chat",
        stream=True,
        outcome="completed",
        usage=usage,
        usage_source=UsageSource.REPORTED,
        price_id=shop.price.id,
        hold=4 * amount,
        began=moment(0),
        seconds=3.211_934,
        first_byte=0.402_011,
        attempts=(AttemptCost("main", 200, None, cost),),
    )
    packed = receipts.pack(0, receipt, "", _NAMES.__getitem__)
    return Kept(packed, usage.total_input, usage.total_output, amount, cost)


def _calls(
    customers: Sequence[Customer], kinds: Sequence[Kept], count: int, *, place: int
) -> Iterator[tuple[_Row, Kept]]:
    """Yield charges over the last month, oldest first; ids of two places never meet."""
    began = SystemClock().now() - _MONTH
    for i in range(count):
        call_id = first_id(began + i * (_MONTH - 1) / count) + 2 * (i % 1_000) + place
        who, kept = customers[i % len(customers)], kinds[i % len(kinds)]
        model = _NAMES[_RARE if i % _RARITY == 0 else MODEL]
        facts = (call_id, who.user_id, who.key_id, model, _CHANNEL, i // _SEALED_AT_ONCE + 1)
        legs = (kept.price, 0, kept.price, 0, 0, 0, kept.cost)
        yield (*facts, *legs, kept.receipt), kept


@dataclass(slots=True)
class Written:
    """What charges come to.

    Args:
        days: Calls, tokens read and written, and price, by the key of `usage_days`.
        batches: How many charges each batch has, and their digest.
        cost: What the upstream is owed for them.
    """

    days: dict[tuple[int, int, int, int], list[int]] = field(default_factory=dict)
    batches: list[tuple[int, bytes]] = field(default_factory=list)
    cost: Nanos = 0

    def add(self, made: Sequence[tuple[_Row, Kept]]) -> None:
        """Count a batch."""
        for row, kept in made:
            group = (row[1], day(row[0]), row[2], row[3])
            sums = self.days.setdefault(group, [0, 0, 0, 0])
            for i, more in enumerate((1, kept.read, kept.written, kept.price)):
                sums[i] += more
            self.cost += kept.cost
        self.batches.append((len(made), seals.digest(row for row, _ in made)))


async def _write(file: Path, made: Iterator[tuple[_Row, Kept]], total: int, say: Say) -> Written:
    """Insert charges and the sums by day, past everything that would take its time."""
    written, done = Written(), 0
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        names = [(number, name) for name, number in _NAMES.items()]
        connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", names)
        while batch := list(islice(made, _SEALED_AT_ONCE)):
            connection.executemany(_ADD_CHARGE, [row for row, _ in batch])
            written.add(batch)
            done += len(batch)
            if done % _TOLD_AT_ONCE == 0:
                say(f"ledger: {done:,} of {total:,} calls are written")
            await asyncio.sleep(0)  # lets the benchmark be told to stop
        days = [(*group, *sums) for group, sums in written.days.items()]
        connection.executemany(_ADD_DAY, days)
        connection.commit()
    return written


async def _account_for(shop: Shop, written: Written) -> None:
    """Move balances, budgets and counters as the charges did, and seal the batches."""
    spent: dict[int, Nanos] = defaultdict(int)
    used: dict[int, tuple[int, Nanos, float]] = {}
    for (user_id, _, key_id, _), (calls, _, _, amount) in written.days.items():
        before = used.get(key_id, (0, 0, 0.0))
        used[key_id] = (before[0] + calls, before[1] + amount, SystemClock().now())
        spent[user_id] += amount
    moved = {Account(Kind.PAID, user_id): -amount for user_id, amount in spent.items()}
    moved |= {
        Account(Kind.REVENUE): sum(spent.values()),
        Account(Kind.COST, _CHANNEL): -written.cost,
        Account(Kind.PROVIDER, _CHANNEL): written.cost,
    }
    async with transaction(shop.engine) as tx:
        await books.move(tx, moved)
        for user_id, amount in spent.items():
            await budgets.change_available(tx, Budget(BudgetKind.WALLET, user_id), -amount)
        await keys.count_use(tx, used)
        last = await seals.last(tx)
        for count, digest in written.batches:
            now = SystemClock().now()
            last = await seals.add(tx, last, charges=count, content=digest, at=now)


# -- reading ---------------------------------------------------------------------------------------


async def _proved(shop: Shop, calls: int) -> Row:
    """Time a proof of the whole ledger, in processor time: neighbours would stretch any other."""
    cpu, wall = time.process_time(), time.perf_counter()
    proof = await proof_of(shop)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    name = f"{calls * _LEGS:,} postings verified"
    note = f"{calls:,} calls of {_LEGS} postings, priced again, on one core; took {wall:.2f} s"
    row = rows.at_most("ledger", name, cpu, rows.VERIFY_SECONDS, "CPU-s", note)
    missing = [] if proof.charges == calls else [f"only {proof.charges} calls were read"]
    return rows.spoilt(row, [*proof.breaks, *missing])


async def _paged(shop: Shop, calls: int) -> tuple[Row, ...]:
    """Time pages of the user with most calls: plain ones, and of what is rare among them."""
    who = shop.customers[0].user_id
    middle = first_id(SystemClock().now() - _MONTH / 2)
    some = Filters(since=moment(middle), until=moment(middle) + _DAY)
    plain = {
        "newest": await _page_ms(shop, who, None, _PAGE),
        "from the middle": await _page_ms(shop, who, middle, _PAGE),
        "of one day": await _page_ms(shop, who, None, _PAGE, some),
        "by key": await _page_ms(shop, who, None, _PAGE, Filters(key_id=shop.customers[0].key_id)),
    }
    rare = {
        limit: await _page_ms(shop, who, None, limit, Filters(model=_RARE))
        for limit in (_PAGE, _LONG_PAGE)
    }
    long = await _page_ms(shop, who, None, _LONG_PAGE)
    name = f"a page of {_PAGE} of one user's {calls:,} calls, slowest"
    each = ", ".join(f"{what} {number(ms)}" for what, ms in plain.items()) + " ms"
    return (
        rows.at_most("ledger", name, max(plain.values()), rows.PAGE_MS, "ms", each),
        Row("ledger", f"the same of {_LONG_PAGE:,}", long, "ms"),
        rows.at_most(
            "ledger",
            f"a page of a model one call in {_RARITY:,} has, slowest",
            max(rare.values()),
            rows.PAGE_MS,
            "ms",
            ", ".join(f"of {limit:,} {number(ms)}" for limit, ms in rare.items()) + " ms",
        ),
    )


async def _page_ms(
    shop: Shop, user_id: int, before: int | None, limit: int, filters: Filters = _ALL
) -> float:
    """Return how long a page takes that must not be empty; the middle of several readings."""
    spent: list[float] = []
    for _ in range(_READS):
        began = time.perf_counter()
        async with reading(shop.engine) as connection:
            found = await charges.page(connection, user_id, before, limit, filters)
        spent.append((time.perf_counter() - began) * 1e3)
        if not found:
            raise BenchError("a page of calls was empty")
    return median(spent)
