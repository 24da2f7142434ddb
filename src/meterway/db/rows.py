"""Rows as the driver's own tuples, where many are read, or few in very many transactions."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import aiosqlite
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

Values: TypeAlias = tuple[Any, ...]
"""A row, its values in the order of the columns."""


async def fetch(
    connection: AsyncConnection, query: TextClause, values: Mapping[str, Any]
) -> Sequence[Values]:
    """Return all rows of a query within the connection's transaction, values as the driver's.

    On SQLite that takes half the time of SQLAlchemy's rows, and less of a statement that changes
    one and returns it. Raises what the driver raises, which `reading` and `transaction` turn into
    `UnavailableError`.
    """
    if connection.dialect.name == "sqlite":
        driver = await _sqlite(connection)
        found: Any = await driver.execute_fetchall(query.text, dict(values))
        return list(found)
    return [tuple(row) for row in await connection.execute(query, values)]


async def add(
    tx: AsyncConnection, table: str, columns: tuple[str, ...], rows: Sequence[Values]
) -> None:
    """Insert rows; names of tables and columns are the program's own.

    Raises what the driver raises, as `fetch` does.
    """
    statement = inserting(tx, table, columns)
    if tx.dialect.name == "sqlite":
        driver = await _sqlite(tx)
        await driver.executemany(statement, rows)
        return
    await tx.exec_driver_sql(statement, list(rows))


def inserting(tx: AsyncConnection, table: str, columns: tuple[str, ...]) -> str:
    """Return an INSERT in the driver's own words: the compiled one costs twice the time."""
    return _inserting(table, columns, numbered=tx.dialect.paramstyle == "numeric_dollar")


@lru_cache
def _inserting(table: str, columns: tuple[str, ...], *, numbered: bool) -> str:
    marks = ", ".join(f"${i}" if numbered else "?" for i in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names


async def _sqlite(connection: AsyncConnection) -> aiosqlite.Connection:
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, aiosqlite.Connection)
    return driver
