"""Engines and transactions on SQLite and PostgreSQL, and the one place where drivers fail."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from meterway.db.errors import DatabaseAddressError
from meterway.db.rows import Into, Values, insert_alone
from meterway.db.sqlite import open_file
from meterway.kit.errors import UnavailableError

_SQLITE, _POSTGRES = "sqlite+aiosqlite", "postgresql+asyncpg"
_DRIVERS = {
    "sqlite": _SQLITE,
    _SQLITE: _SQLITE,
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    _POSTGRES: _POSTGRES,
}
_WRITES = "meterway_writes"
_SYNCHRONOUS = "meterway_synchronous"
_UNDEFINED_TABLE = "42P01"  # PostgreSQL's SQLSTATE; SQLite reports it as operational
_RETRY_AFTER = 1.0


def address(text: str) -> URL:
    """Read a database URL of SQLite or PostgreSQL; the driver need not be named.

    Raises `DatabaseAddressError`, which does not repeat the URL: it may hold a password.
    """
    try:
        url = make_url(text)
        return url.set(drivername=_DRIVERS[url.drivername])
    except (ArgumentError, KeyError, ValueError):
        raise DatabaseAddressError(
            "The database URL is not one Meterway can open; write sqlite:///FOLDER/FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME."
        ) from None


def open_engine(
    url: str, *, pool_size: int = 5, pool_timeout: float = 5.0, connect_timeout: float = 5.0
) -> AsyncEngine:
    """Make an engine; nothing is opened before its first use. Times are in seconds.

    Whoever opens an engine disposes of it. Raises `DatabaseAddressError`.
    """
    target = address(url)
    if target.drivername == _SQLITE:
        return _sqlite_engine(target, pool_size, pool_timeout, connect_timeout)
    try:
        return create_async_engine(
            target,
            connect_args={"timeout": connect_timeout},
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_pre_ping=True,
            hide_parameters=True,  # values may be secrets, and errors reach the log
        )
    except (ImportError, NoSuchModuleError):
        raise DatabaseAddressError(
            "PostgreSQL needs its driver: install meterway[postgres]."
        ) from None


def _sqlite_engine(
    target: URL, pool_size: int, pool_timeout: float, busy_timeout: float
) -> AsyncEngine:
    if not target.database or target.database == ":memory:":
        raise DatabaseAddressError("Name the file of the database: sqlite:///FOLDER/FILE.")
    engine = create_async_engine(
        target,
        async_creator=partial(open_file, target.database, busy_timeout),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        hide_parameters=True,  # as above
    )
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads, then writes, fails at once else."""
    writes = connection.get_execution_options().get(_WRITES, False)
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    adapted: Any = connection.connection.dbapi_connection
    adapted.run_async(lambda driver: driver.execute_fetchall(begin))  # one message to its thread


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that may write; it commits at the end and rolls back on an error.

    Raises `UnavailableError` with a `retry_after` where the database cannot be used.
    """
    async with _connected(engine, writes=True) as connection:
        yield connection


@asynccontextmanager
async def durable_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction as `transaction` does, whose end is on the disk when it returns.

    SQLite alone needs to be told: others' last commits may be undone by a loss of power.
    """
    async with _connected(engine, writes=True, synchronous=True) as connection:
        yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection that sees one moment of the database and writes nothing.

    Raises `UnavailableError` with a `retry_after` where the database cannot be used.
    """
    async with _connected(engine, writes=False) as connection:
        yield connection


@asynccontextmanager
async def _connected(
    engine: AsyncEngine, *, writes: bool, synchronous: bool = False
) -> AsyncIterator[AsyncConnection]:
    with passing_faults():
        async with engine.connect() as connection:
            if synchronous and engine.dialect.name == "sqlite":
                await _synchronous(connection)
            await connection.execution_options(**{_WRITES: writes})
            async with connection.begin():
                yield connection


class Line:
    """One connection for transactions that follow each other closely.

    Taking one from the pool for each of them, and giving it back, costs more than a small
    transaction itself. One user at a time; `close` gives the connection back.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._taken = AsyncExitStack()
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction as `transaction` does; after one that failed on another connection."""
        try:
            with passing_faults():
                connection = self._connection or await self._take()
                async with connection.begin():
                    yield connection
        except BaseException:
            await self.close()
            raise

    async def insert(self, some: Mapping[Into, Sequence[Values]]) -> None:
        """Insert rows in a transaction that does nothing else, which costs less."""
        try:
            with passing_faults():
                await insert_alone(self._connection or await self._take(), some)
        except BaseException:
            await self.close()
            raise

    async def _take(self) -> AsyncConnection:
        connection = await self._taken.enter_async_context(self._engine.connect())
        await connection.execution_options(**{_WRITES: True})
        self._connection = connection
        return connection

    async def close(self) -> None:
        """Give the connection back; the next transaction takes one again."""
        self._connection = None
        await self._taken.aclose()


async def _synchronous(connection: AsyncConnection) -> None:
    """Let commits wait for the disk, also those of whoever gets this connection later."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    if not raw.info.get(_SYNCHRONOUS, False):  # kept with the driver's connection
        # before any transaction, or it is ignored
        await driver.execute_fetchall("PRAGMA synchronous = FULL")
        raw.info[_SYNCHRONOUS] = True


@contextmanager
def passing_faults() -> Iterator[None]:
    """Turn what a driver raises when the database fails into `UnavailableError`.

    Broken constraints, bad values and wrong SQL are not passing faults and travel on.
    """
    try:
        yield
    except (IntegrityError, DataError, sqlite3.DataError, sqlite3.ProgrammingError):
        raise
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
            raise
        raise _unavailable() from error
    except (
        DBAPIError,
        sqlite3.Error,  # of `rows`
        PoolTimeoutError,
        OSError,
        TimeoutError,
    ) as error:
        raise _unavailable() from error


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "The database cannot be used at the moment; try again shortly.", retry_after=_RETRY_AFTER
    )
