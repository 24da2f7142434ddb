"""A database of the benchmark's own: one priced model, users with money and keys, and its proof."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts import service as accounts
from meterway.accounts.types import NewUser
from meterway.catalog.book import Book
from meterway.catalog.prices import service as prices
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import NewPrice, Price, Rates, Tariff
from meterway.db import schema
from meterway.db.engine import open_engine, reading, transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from meterway.kit.clock import SystemClock
from meterway.kit.ids import random_text
from meterway.kit.money import NANOS_PER_USD, Nanos
from meterway.ledger import verify as verification
from meterway.ledger.books.types import Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.verify import Report
from meterway.metering.receipts import pricer

MODEL: Final = "bench"
_RATES = Rates(input=2 * NANOS_PER_USD, output=10 * NANOS_PER_USD)
_MONEY: Final = 100_000 * NANOS_PER_USD


@dataclass(frozen=True, slots=True)
class Customer:
    """A prepaid user with one key."""

    user_id: int
    key_id: int


@dataclass(frozen=True, slots=True)
class Shop:
    """The database, the book with its one price, and who buys."""

    engine: AsyncEngine
    book: Book
    price: Price
    customers: tuple[Customer, ...]


@asynccontextmanager
async def open_shop(file: Path, customers: int) -> AsyncIterator[Shop]:
    """Make a SQLite file with so many customers, and let go of it at the end."""
    engine, now = open_engine(f"sqlite:///{file}"), SystemClock().now()
    try:
        await schema.upgrade(engine)
        async with transaction(engine) as tx:
            new = NewPrice(model=MODEL, tariff=Tariff(rates=_RATES))
            price = await prices.set_price(tx, new, Catalog(), listed=(MODEL,), now=now)
            made = [await _customer(tx, number, now) for number in range(customers)]
        async with reading(engine) as connection:
            book = await prices.load(connection)
        yield Shop(engine, book, price, tuple(made))
    finally:
        await engine.dispose()


async def _customer(tx: AsyncConnection, number: int, now: float) -> Customer:
    new = NewUser(email=f"customer{number}@example.org", password=random_text(20))
    user_id = await accounts.create(tx, new, now=now, hashed=lambda _: "none")
    await budgets.top_up(tx, user_id, _MONEY, Kind.PAID, at=now, reference=None)
    key, _ = await keys.create(tx, b"", NewKey(user_id=user_id), known=(), now=now)
    return Customer(user_id, key)


async def proof_of(shop: Shop) -> Report:
    """Replay the ledger as `meterway ledger verify` does."""
    async with reading(shop.engine) as connection:
        await verification.at_one_moment(connection)
        return await verification.verify(
            connection,
            pricer_of=lambda terms: pricer(terms, shop.book),
            key_counters=_counted,
        )


async def _counted(connection: AsyncConnection) -> Mapping[int, tuple[int, Nanos]]:
    everybody = await keys.of_user(connection, deleted=True)
    return {key.id: (key.used_times, key.used_fee) for key in everybody}
