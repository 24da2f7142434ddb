"""Reading very many rows: as the driver's own tuples, where rows with names cost too much."""

from collections.abc import Mapping, Sequence
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

    On SQLite that takes half the time of SQLAlchemy's rows. Raises what the driver raises, which
    `reading` and `transaction` turn into `UnavailableError`.
    """
    if connection.dialect.name == "sqlite":
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, aiosqlite.Connection)
        found: Any = await driver.execute_fetchall(query.text, dict(values))
        return list(found)
    return [tuple(row) for row in await connection.execute(query, values)]
