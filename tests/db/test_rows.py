"""Reading many rows as tuples: the same values, of the same moment, as by the usual way."""

import pytest
from sqlalchemy import text

from meterway.db.engine import open_engine, reading, transaction
from meterway.db.rows import add, fetch
from meterway.kit.errors import UnavailableError
from tests.factories.databases import sqlite_url

QUERY = text("SELECT topic, version FROM versions WHERE version >= :least ORDER BY topic")


async def test_rows_are_tuples_of_their_values(engine):
    async with transaction(engine) as tx:
        await tx.execute(text("INSERT INTO versions VALUES ('a', 1), ('b', 2), ('c', 3)"))

        found = await fetch(tx, QUERY, {"least": 2})

    assert found == [("b", 2), ("c", 3)]


async def test_rows_are_added_as_they_are_read(engine):
    async with transaction(engine) as tx:
        await add(tx, "versions", ("topic", "version"), [("b", 2), ("a", 1)])
        async with tx.begin_nested() as undone:
            await add(tx, "versions", ("topic", "version"), [("c", 3)])
            await undone.rollback()

    async with reading(engine) as connection:
        assert await fetch(connection, QUERY, {"least": 0}) == [("a", 1), ("b", 2)]


async def test_rows_of_an_undone_transaction_were_its_own(engine):
    async with transaction(engine) as tx:
        await tx.execute(text("INSERT INTO versions VALUES ('a', 1)"))
        seen = await fetch(tx, QUERY, {"least": 0})
        await tx.rollback()

    async with reading(engine) as connection:
        assert (seen, await fetch(connection, QUERY, {"least": 0})) == ([("a", 1)], [])


async def test_database_that_fails_is_a_passing_fault(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "without-tables.db"))

    with pytest.raises(UnavailableError):
        async with reading(engine) as connection:
            await fetch(connection, QUERY, {"least": 0})

    await engine.dispose()
