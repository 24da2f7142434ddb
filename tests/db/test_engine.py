"""Engines, transactions and the place where driver errors become ours."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from meterway.db import versions
from meterway.db.engine import Line, address, open_engine, reading, transaction
from meterway.db.errors import DatabaseAddressError
from meterway.db.sqlite import open_file
from meterway.kit.errors import UnavailableError
from tests.factories.databases import sqlite_url


async def _value(engine, topic):
    async with reading(engine) as connection:
        return (await versions.read(connection)).get(topic)


async def test_transaction_commits_at_its_end(engine):
    async with transaction(engine) as tx:
        await versions.bump(tx, "a")

    assert await _value(engine, "a") == 1


async def _insert(engine, *topics):
    async with transaction(engine) as tx:
        for topic in topics:
            await tx.execute(text("INSERT INTO versions VALUES (:topic, 1)"), {"topic": topic})


async def test_transaction_rolls_back_on_an_error(engine):
    with pytest.raises(IntegrityError):
        await _insert(engine, "a", "b", "b")

    assert await _value(engine, "a") is None


async def _bump_twice_alike(line):
    async with line.transaction() as tx:
        await versions.bump(tx, "a")
        for _ in range(2):
            await tx.execute(text("INSERT INTO versions VALUES ('b', 1)"))


async def test_a_line_keeps_its_connection_while_transactions_succeed(engine):
    line = Line(engine)
    seen = []
    for _ in range(2):
        async with line.transaction() as tx:
            await versions.bump(tx, "a")
            seen.append(tx)
    with pytest.raises(IntegrityError):
        await _bump_twice_alike(line)
    async with line.transaction() as tx:
        await versions.bump(tx, "a")
        seen.append(tx)
    await line.close()

    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    assert await _value(engine, "a") == 3
    assert engine.pool.checkedout() == 0


async def test_read_then_write_transactions_wait_for_each_other(engine):
    async def increase():
        async with transaction(engine) as tx:
            await versions.read(tx)
            await asyncio.sleep(0)
            await versions.bump(tx, "a")

    await asyncio.gather(*(increase() for _ in range(20)))

    assert await _value(engine, "a") == 20


async def test_sqlite_is_in_wal_mode_and_keeps_foreign_keys(sqlite):
    async with reading(sqlite) as connection:
        mode = (await connection.execute(text("PRAGMA journal_mode"))).scalar_one()
        keys = (await connection.execute(text("PRAGMA foreign_keys"))).scalar_one()

    assert (mode, keys) == ("wal", 1)


async def test_new_file_has_larger_pages_and_an_old_one_keeps_its_own(tmp_path):
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as file:
        file.execute("PRAGMA page_size = 4096")
        file.execute("CREATE TABLE t (x)")
    sizes: list[object] = []

    for path in (tmp_path / "new.db", old):
        opened = await open_file(str(path), 0.01)
        await opened.execute_fetchall("CREATE TABLE more (x)")
        sizes += await opened.execute_fetchall("PRAGMA page_size")
        await opened.close()

    assert sizes == [(8192,), (4096,)]


async def test_reader_does_not_wait_for_a_writer(sqlite):
    async with transaction(sqlite) as tx:
        await versions.bump(tx, "a")

        seen = await _value(sqlite, "a")

    assert seen is None


async def test_closed_connection_locks_nothing_though_an_answer_of_it_is_half_read(
    migrated_file, tmp_path
):
    path = tmp_path / "x.db"
    path.write_bytes(migrated_file.read_bytes())
    engine = open_engine(sqlite_url(path), connect_timeout=0.01)
    cut = await open_file(str(path), 0.01)
    await cut.execute("BEGIN IMMEDIATE")
    answer = await cut.execute("INSERT INTO versions VALUES ('x', 1), ('y', 1) RETURNING topic")
    await answer.fetchone()

    await cut.close()

    await _insert(engine, "x")
    assert await _value(engine, "y") is None
    await engine.dispose()


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at " * 50, None]
)
async def test_broken_file_is_a_passing_fault(tmp_path, content):
    path = tmp_path / "missing" / "x.db"
    if content is not None:
        path = tmp_path / "x.db"
        path.write_bytes(content)
    engine = open_engine(sqlite_url(path))

    with pytest.raises(UnavailableError) as caught:
        await _value(engine, "a")

    assert caught.value.status == 503
    assert caught.value.retry_after == 1.0
    await engine.dispose()


async def test_missing_tables_are_a_passing_fault(tmp_path, empty_postgres):
    for url in (sqlite_url(tmp_path / "x.db"), empty_postgres):
        engine = open_engine(url)

        with pytest.raises(UnavailableError):
            await _value(engine, "a")

        await engine.dispose()


async def test_unreachable_server_is_a_passing_fault(unused_tcp_port):
    engine = open_engine(f"postgresql://u:canary@127.0.0.1:{unused_tcp_port}/x")

    with pytest.raises(UnavailableError) as caught:
        await _value(engine, "a")

    assert "canary" not in str(caught.value)
    await engine.dispose()


async def test_exhausted_pool_is_a_passing_fault(migrated_file):
    engine = open_engine(sqlite_url(migrated_file), pool_size=1, pool_timeout=0.01)

    async with reading(engine):
        with pytest.raises(UnavailableError):
            await _value(engine, "a")

    await engine.dispose()


async def test_locked_database_is_a_passing_fault(sqlite):
    other = open_engine(sqlite.url.render_as_string())

    async def write_impatiently():
        async with reading(other) as connection:
            await connection.execute(text("PRAGMA busy_timeout = 1"))
            await connection.execute(text("INSERT INTO versions VALUES ('b', 1)"))

    async with transaction(sqlite) as tx:
        await versions.bump(tx, "a")
        with pytest.raises(UnavailableError):
            await write_impatiently()

    await other.dispose()


async def test_broken_constraint_is_no_passing_fault(engine):
    with pytest.raises(IntegrityError):
        await _insert(engine, "a", "a")


async def test_wrong_sql_is_a_passing_fault_only_where_the_driver_says_so(engine):
    # SQLite reports wrong SQL as an operational error, like a database that is away.
    lite = engine.dialect.name == "sqlite"

    with pytest.raises(UnavailableError if lite else ProgrammingError):
        async with reading(engine) as connection:
            await connection.execute(text("SELEC 1"))


async def test_engine_recovers_when_the_database_is_back(migrated_file, tmp_path):
    path = tmp_path / "x.db"
    engine = open_engine(sqlite_url(path))
    with pytest.raises(UnavailableError):
        await _value(engine, "a")

    path.unlink()
    path.write_bytes(migrated_file.read_bytes())
    await engine.dispose()

    assert await _value(engine, "a") is None
    await engine.dispose()


async def test_errors_of_the_database_do_not_show_values(sqlite):
    with pytest.raises(IntegrityError) as caught:
        await _insert(sqlite, "canary", "canary")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:canary@h/d",
        "nonsense canary",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+pysqlite://",
    ],
)
def test_unusable_address_is_refused_without_repeating_it(url):
    with pytest.raises(DatabaseAddressError) as caught:
        open_engine(url)

    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////x/y.db", "sqlite+aiosqlite"),
        ("postgres://h/d", "postgresql+asyncpg"),
        ("postgresql://h/d", "postgresql+asyncpg"),
    ],
)
def test_driver_need_not_be_named(url, driver):
    assert address(url).drivername == driver
