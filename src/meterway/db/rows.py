"""Statements on very many rows, and very many statements: in the driver's own words.

SQLAlchemy's way of running one on SQLite sends the connection's thread three or four messages and
makes rows with names; here it is one message, and tuples. Everything happens within the
connection's transaction. What breaks a constraint is SQLAlchemy's `IntegrityError`; what else the
driver raises `reading` and `transaction` turn into `UnavailableError` where it passes.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.sqlite import FileConnection

Values: TypeAlias = tuple[Any, ...]
"""A row, its values in the order of the columns."""

_TOGETHER: Final = (64, 16, 4, 1)  # rows of one statement: few forms of it are prepared once


async def fetch(
    connection: AsyncConnection, query: TextClause, values: Mapping[str, Any]
) -> Sequence[Values]:
    """Return all rows of a query, values as the driver's."""
    if (driver := _sqlite(connection)) is not None:
        found: Any = await driver.execute_fetchall(query.text, dict(values))
        return list(found)
    return [tuple(row) for row in await connection.execute(query, values)]


class Among:
    """A query with `{among}` behind a column, which is to be one of any number of integers.

    `order` is its last clause; with `lock` PostgreSQL locks what is found, in that order.
    """

    def __init__(self, query: str, order: str = "", *, lock: bool = False) -> None:
        end = f" {order}" if order else ""
        locked = f"{end} FOR UPDATE" if lock else end
        self.json = text(query.format(among="IN (SELECT value FROM json_each(:among))") + end)
        self.array = text(query.format(among="= ANY(CAST(:among AS BIGINT[]))") + locked)


async def fetch_among(
    connection: AsyncConnection, query: Among, numbers: Collection[int], **values: Any
) -> Sequence[Values]:
    """Return all rows of a query whose column is among the numbers, values as the driver's."""
    if not numbers:
        return []
    if connection.dialect.name == "sqlite":
        among = msgspec.json.encode(list(numbers)).decode()
        return await fetch(connection, query.json, {"among": among, **values})
    return await fetch(connection, query.array, {"among": list(numbers), **values})


async def change(
    tx: AsyncConnection, statement: TextClause, rows: Sequence[Mapping[str, Any]]
) -> int:
    """Run a statement once for each of some rows; return how many rows of tables that touched.

    PostgreSQL's driver counts the rows of one statement alone, and tells -1 of several.
    """
    if not rows:
        return 0
    if (driver := _sqlite(tx)) is not None:
        return await _each(driver, statement.text, rows)
    return (await tx.execute(statement, list(rows) if len(rows) > 1 else rows[0])).rowcount


class Into(NamedTuple):
    """Where rows go: a table of ours, and the columns their values are in the order of."""

    table: str
    columns: tuple[str, ...]


async def insert(
    tx: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[Values], last: str = ""
) -> None:
    """Insert rows of values in the order of `columns`; `last` ends the statement (`ON CONFLICT`).

    Names are put into the statement as they are: they have to be our own.
    """
    numbered = tx.dialect.paramstyle == "numeric_dollar"
    marks = ", ".join(f"${i}" if numbered else "?" for i in range(1, len(columns) + 1))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {last}"  # noqa: S608 - our own names
    if (driver := _sqlite(tx)) is not None:
        await _each(driver, statement, rows)
    else:
        await tx.exec_driver_sql(statement, list(rows))


async def insert_alone(connection: AsyncConnection, some: Mapping[Into, Sequence[Values]]) -> None:
    """Insert rows in a transaction of their own, where `connection` is in none.

    On SQLite that is one message to its thread, and few statements: between two of them other
    threads want their turn.
    """
    if (driver := _sqlite(connection)) is None:
        async with connection.begin():
            for into, rows in some.items():
                await insert(connection, *into, rows)
        return

    def work(file: sqlite3.Connection) -> None:
        for into, rows in some.items():
            _insert_many(file, into, rows)

    try:
        await driver.transact(work)
    except sqlite3.IntegrityError as error:
        raise IntegrityError("INSERT", None, error, hide_parameters=True) from error


def _insert_many(file: sqlite3.Connection, into: Into, rows: Sequence[Values]) -> None:
    done = 0
    for count in _TOGETHER:
        while len(rows) - done >= count:
            values = tuple(chain.from_iterable(rows[done : done + count]))
            file.execute(_insertion(into, count), values)
            done += count


@lru_cache(maxsize=64)
def _insertion(into: Into, count: int) -> str:
    """Return SQLite's statement that inserts `count` rows.

    One that fails ends the transaction, so that nobody notes in a file how to undo it alone.
    """
    row = f"({', '.join(['?'] * len(into.columns))})"
    names = ", ".join(into.columns)
    return f"INSERT OR ROLLBACK INTO {into.table} ({names}) VALUES {', '.join([row] * count)}"  # noqa: S608 - our own names


async def _each(driver: FileConnection, statement: str, rows: Sequence[Any]) -> int:
    try:
        return (await driver.executemany(statement, rows)).rowcount
    except sqlite3.IntegrityError as error:
        raise IntegrityError(statement, None, error, hide_parameters=True) from error


def _sqlite(connection: AsyncConnection) -> FileConnection | None:
    """Return SQLite's driver of an open connection; None on another engine."""
    if connection.dialect.name != "sqlite":
        return None
    opened = connection.sync_connection
    assert opened is not None
    driver = opened.connection.driver_connection
    assert isinstance(driver, FileConnection)
    return driver
