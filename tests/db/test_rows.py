"""Statements in the driver's own words: the same values and faults as by the usual way."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from meterway.db.engine import Line, open_engine, reading, transaction
from meterway.db.rows import Among, Into, change, fetch, fetch_among, insert
from meterway.kit.errors import UnavailableError
from tests.factories.databases import sqlite_url

QUERY = text("SELECT topic, version FROM versions WHERE version >= :least ORDER BY topic")


async def test_rows_are_tuples_of_their_values(engine):
    async with transaction(engine) as tx:
        await tx.execute(text("INSERT INTO versions VALUES ('a', 1), ('b', 2), ('c', 3)"))

        found = await fetch(tx, QUERY, {"least": 2})

    assert found == [("b", 2), ("c", 3)]


async def test_rows_of_an_undone_transaction_were_its_own(engine):
    async with transaction(engine) as tx:
        await tx.execute(text("INSERT INTO versions VALUES ('a', 1)"))
        seen = await fetch(tx, QUERY, {"least": 0})
        await tx.rollback()

    async with reading(engine) as connection:
        assert (seen, await fetch(connection, QUERY, {"least": 0})) == ([("a", 1)], [])


AMONG = Among("SELECT topic FROM versions WHERE version {among}", "ORDER BY topic", lock=True)
MOVE = text("UPDATE versions SET version = version + :by WHERE topic = :topic")
COLUMNS = ("topic", "version")


async def test_rows_are_found_among_any_numbers(engine):
    async with transaction(engine) as tx:
        await insert(tx, "versions", COLUMNS, [("a", 1), ("b", 2**62), ("c", -3)])

        some = await fetch_among(tx, AMONG, {2**62, -3, 77})
        many = await fetch_among(tx, AMONG, range(100_000))
        none = await fetch_among(tx, AMONG, [])

    assert (some, many, none) == ([("b",), ("c",)], [("a",)], [])


async def test_inserted_rows_are_added_to_those_in_their_way(engine):
    adding = "ON CONFLICT (topic) DO UPDATE SET version = versions.version + excluded.version"
    async with transaction(engine) as tx:
        await insert(tx, "versions", COLUMNS, [("a", 1), ("b", 2), ("a", 10)], adding)

        assert await fetch(tx, QUERY, {"least": 0}) == [("a", 11), ("b", 2)]


async def test_change_is_made_for_each_row_and_counted_for_one(engine):
    async with transaction(engine) as tx:
        await insert(tx, "versions", COLUMNS, [("a", 1), ("b", 2)])

        await change(tx, MOVE, [{"by": 5, "topic": "a"}, {"by": 7, "topic": "b"}])
        counts = [await change(tx, MOVE, [{"by": 1, "topic": topic}]) for topic in ("a", "none")]
        none = await change(tx, MOVE, [])

        assert (counts, none) == ([1, 0], 0)
        assert await fetch(tx, QUERY, {"least": 0}) == [("a", 7), ("b", 9)]


async def test_row_that_breaks_a_constraint_is_no_passing_fault(engine):
    with pytest.raises(IntegrityError):
        async with transaction(engine) as tx:
            await insert(tx, "versions", COLUMNS, [("a", 1), ("a", 2)])

    async with reading(engine) as connection:
        assert await fetch(connection, QUERY, {"least": 0}) == []


INTO = Into("versions", COLUMNS)


@pytest.mark.parametrize("count", [1, 3, 4, 64, 85, 150])
async def test_any_number_of_rows_is_a_transaction(engine, count):
    rows = [(f"topic {n:03}", n) for n in range(count)]
    line = Line(engine)

    await line.insert({INTO: rows})
    await line.insert({INTO: [("z", count)]})
    await line.close()

    async with reading(engine) as connection:
        assert await fetch(connection, QUERY, {"least": 0}) == [*rows, ("z", count)]
    assert engine.pool.checkedout() == 0


async def test_row_that_is_refused_undoes_the_transaction_it_is_in(engine):
    line = Line(engine)

    with pytest.raises(IntegrityError):
        await line.insert({INTO: [(f"topic {n}", n) for n in range(70)] + [("topic 1", 1)]})
    await line.insert({INTO: [("a", 1)]})
    await line.close()

    async with reading(engine) as connection:
        assert await fetch(connection, QUERY, {"least": 0}) == [("a", 1)]


async def test_database_that_fails_is_a_passing_fault(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "without-tables.db"))

    with pytest.raises(UnavailableError):
        async with reading(engine) as connection:
            await fetch(connection, QUERY, {"least": 0})

    await engine.dispose()
