"""A gateway that sells is backed up and restored; the last release's data is taken over."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

from sqlalchemy import Connection

from meterway.db.engine import open_engine, transaction
from tests.factories.databases import sqlite_url
from tests.factories.gateways import Gateway
from tests.faults.conftest import SHORT
from tests.faults.shop import Shop, Sold, until_ended

_NANOS = 10 * 10**9
_TABLES_BEFORE_MONEY = "0001"


def _restored(shop: Shop, archive, folder) -> Shop:
    """Return another installation, restored from an archive and the secret file."""
    other = Gateway(folder)
    other.data.mkdir(parents=True)
    shutil.copy(shop.gateway.data / "secret", other.data / "secret")
    other.run("db", "restore", str(archive))
    return Shop.of(other, shop.key)


async def test_backup_of_a_selling_gateway_is_a_sound_moment_of_it(open_shop, tmp_path):
    shop = open_shop("10", METERWAY_WORKERS="2")
    shop.gateway.start()
    archives = [tmp_path / f"{number}.tar.gz" for number in range(1 if SHORT else 3)]
    before: list[set[int]] = []
    async with shop.crowd(8) as crowd:
        for archive in archives:
            await until_ended(crowd, 40)
            before.append({call for sold in crowd for call in sold.ended})
            await asyncio.to_thread(shop.gateway.run, "db", "backup", str(archive))
        await until_ended(crowd, 40)
    await asyncio.to_thread(shop.gateway.stop)

    for archive, ended in zip(archives, before, strict=True):
        other = _restored(shop, archive, tmp_path / archive.stem)
        await asyncio.to_thread(other.gateway.start)
        try:
            await asyncio.to_thread(other.settled)
            sold = Sold()
            assert await other.call(sold, stream=True) == 200
            await asyncio.to_thread(other.settled)

            charged = other.charged()
            assert ended | sold.ended <= charged.keys()
            assert other.balance() == other.available() == _NANOS - sum(charged.values())
            assert other.gateway.run("ledger", "verify")["quarantined"] == []
            other.verify()
        finally:
            await asyncio.to_thread(other.gateway.stop)


async def test_calls_nobody_had_posted_are_charged_after_a_restore(open_shop, tmp_path):
    shop = open_shop("10")
    shop.gateway.start()
    shop.stop_posting()
    sold = Sold()
    for stream in (True, False) * 5:
        await shop.call(sold, stream=stream)
    assert shop.charged() == {}

    await asyncio.to_thread(shop.gateway.run, "db", "backup", str(tmp_path / "backup"))
    shop.crash()
    other = _restored(shop, tmp_path / "backup", tmp_path / "other")
    await asyncio.to_thread(other.gateway.start)
    await asyncio.to_thread(other.settled)
    await asyncio.to_thread(other.gateway.stop)

    assert other.charged().keys() == sold.ended
    other.verify()


async def test_running_gateway_is_not_restored_over(open_shop, tmp_path):
    shop = open_shop("10")
    shop.gateway.start()
    shop.gateway.run("db", "backup", str(tmp_path / "backup"))

    refused = shop.gateway.refused("db", "restore", str(tmp_path / "backup"), "--force")
    await shop.call(sold := Sold(), stream=False)
    await asyncio.to_thread(shop.settled)

    assert refused == 4
    assert shop.charged().keys() == sold.ended
    shop.verify()


def _make_tables_before_money(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - as `db.schema` does
    from alembic.config import Config  # noqa: PLC0415 - same

    config = Config()
    config.set_main_option("script_location", "meterway:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, _TABLES_BEFORE_MONEY)


async def _build_old(path) -> None:
    engine = open_engine(sqlite_url(path))
    async with transaction(engine) as tx:
        await tx.run_sync(_make_tables_before_money)
    await engine.dispose()


def _copy_rows(old, new) -> None:
    """Give the old tables every row that a new installation has and they can hold."""
    with closing(sqlite3.connect(old)) as books, books:
        books.execute("ATTACH ? AS new", (str(new),))
        query = "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        for (table,) in books.execute(query).fetchall():
            if table in {"alembic_version", "sqlite_sequence"}:
                continue
            columns = [row[1] for row in books.execute(f"PRAGMA main.table_info({table})")]
            listed = ", ".join(f'"{column}"' for column in columns)
            books.execute(f"DELETE FROM main.{table}")
            books.execute(f"INSERT INTO main.{table} ({listed}) SELECT {listed} FROM new.{table}")


async def test_database_of_the_release_before_money_is_taken_over(installed, tmp_path):
    gateway = Gateway(tmp_path).init(installed)
    add = ("channel", "add", "--provider", "openai-compatible", "--name", "kept")
    gateway.run(*add, "--base-url", "http://127.0.0.1:9/v1", "--api-key", "x", "--models", "theirs")
    gateway.run("user", "create", "--email", "old@example.org", "--password", "long enough")
    key = gateway.run("key", "create", "--user", "old@example.org")["key"]
    current = gateway.data / "meterway.db"
    await _build_old(tmp_path / "old.db")
    await asyncio.to_thread(_copy_rows, tmp_path / "old.db", current)
    for path in gateway.data.glob("meterway.db*"):
        path.unlink()
    (tmp_path / "old.db").rename(current)

    await asyncio.to_thread(gateway.start)
    gateway.run("user", "grant", "old@example.org", "1")
    shop = Shop.of(gateway, key)
    shop.offer("sandbox/echo")
    sold = Sold()
    try:
        assert await shop.call(sold, stream=True) == 200
        assert await shop.call(sold, stream=False, key=gateway.key) == 200
        await asyncio.to_thread(shop.settled)
    finally:
        await asyncio.to_thread(gateway.stop)

    assert shop.charged().keys() == sold.ended
    assert [channel["name"] for channel in gateway.run("channel", "list")] == ["kept"]
    shop.verify()
