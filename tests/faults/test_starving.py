"""The disk is full or the database locked: what cannot be recorded is refused, nothing is lost."""

import asyncio
import contextlib
import errno
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.gateways import wait_for
from tests.faults.shop import Shop, Sold

_BALLAST = "ballast"


@contextlib.contextmanager
def _disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Put a small disk of its own at `folder`, with what is there already."""
    folder.mkdir(exist_ok=True)
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("this test mounts a small disk, which needs root")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _grow(folder: Path, megabytes: int) -> None:
    """Make a small disk larger."""
    options = ["-o", f"remount,size={megabytes}m"]
    subprocess.run(["mount", *options, str(folder)], check=True)


def _fill(folder: Path) -> None:
    """Write until the disk has no room for another byte."""
    with (folder / _BALLAST).open("ab", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while ballast.write(bytes(size)):
                    pass


def _fill_up(shop: Shop) -> None:
    """Fill the disk so that the database cannot write another page either."""
    log = shop.gateway.data / "meterway.db-wal"

    def emptied() -> bool:
        with contextlib.closing(sqlite3.connect(shop.gateway.data / "meterway.db")) as books:
            books.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _fill(shop.gateway.data)
        return log.stat().st_size == 0

    wait_for(emptied, "the write-ahead log to be empty on a full disk")


async def _until(shop: Shop, sold: Sold, status: int, **options) -> None:
    """Call until the answer has a status."""
    async with asyncio.timeout(60):
        while await shop.call(sold, stream=False, **options) != status:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


def _ended_in(shop: Shop, *sales: Sold) -> bool:
    return {call for sold in sales for call in sold.ended} == shop.charged().keys()


async def test_full_disk_of_journals_refuses_calls_until_there_is_room(open_shop):
    shop = open_shop("10")
    with _disk(shop.gateway.journals, 4):
        shop.gateway.start()
        refused, sold = Sold(), Sold()
        for stream in (True, False):
            assert await shop.call(refused, stream=stream) == 503
        assert await shop.call(refused, stream=False, key=shop.gateway.key) == 503

        _grow(shop.gateway.journals, 64)
        await _until(shop, sold, 200)
        await _until(shop, sold, 200, key=shop.gateway.key)
        await asyncio.to_thread(shop.settled)

        assert shop.charged().keys() == sold.ended
        assert refused.wanting | sold.wanting == set()
        shop.verify()
        assert shop.gateway.stop() == 0


async def test_full_disk_of_the_database_stops_no_call_that_is_paid_already(open_shop):
    shop = open_shop("10")
    other = shop.new_buyer("10")
    with _disk(shop.gateway.data, 64):
        shop.gateway.start()
        sold, refused = Sold(), Sold()
        await _until(shop, sold, 200)
        _fill_up(shop)
        for stream in (True, False) * 10:
            assert await shop.call(sold, stream=stream) == 200
        assert await shop.call(refused, stream=False, key=other) == 503
        wait_for(lambda: shop.gateway.events("backstage.waits"), "the backstage process to tell")

        (shop.gateway.data / _BALLAST).unlink()
        await _until(shop, sold, 200, key=other)
        await asyncio.to_thread(shop.settled)

        assert shop.charged().keys() == sold.ended
        assert refused.wanting | sold.wanting == set()
        assert shop.available() == shop.balance()
        shop.verify()
        assert shop.gateway.stop() == 0


async def test_worker_starts_on_a_full_disk_and_sells_once_there_is_room(open_shop, chance):
    shop = open_shop("10")
    with _disk(shop.gateway.data, 64):
        shop.gateway.start()
        sold, refused = Sold(), Sold()
        await _until(shop, sold, 200)
        _fill_up(shop)
        shop.kill("worker", chance)
        await _until(shop, refused, 503)

        (shop.gateway.data / _BALLAST).unlink()
        await _until(shop, sold, 200)
        await asyncio.to_thread(shop.settled)

        assert shop.charged().keys() == sold.ended
        assert refused.wanting | sold.wanting == set()
        shop.verify()


@contextlib.contextmanager
def _locked(shop: Shop) -> Iterator[None]:
    """Keep everybody from writing to the database."""
    path = shop.gateway.data / "meterway.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as books:
        books.execute("BEGIN EXCLUSIVE")
        yield


async def test_locked_database_refuses_only_what_needs_it_and_settles_later(open_shop):
    shop = open_shop("10")
    other = shop.new_buyer("10")
    shop.gateway.start()
    sold, refused = Sold(), Sold()
    await _until(shop, sold, 200)
    with _locked(shop):
        waiting = asyncio.create_task(shop.call(refused, stream=False, key=other))
        before = shop.charged().keys()
        for stream in (True, False) * 10:
            assert await shop.call(sold, stream=stream) == 200
        assert await waiting == 503
        assert shop.charged().keys() == before

    await _until(shop, sold, 200, key=other)
    await asyncio.to_thread(shop.settled)

    assert shop.charged().keys() == sold.ended
    assert refused.wanting | sold.wanting == set()
    assert shop.available() == shop.balance()
    shop.verify()


async def test_nothing_is_sold_by_a_worker_the_locked_database_does_not_know(open_shop, chance):
    shop = open_shop("10")
    shop.gateway.start()
    postpaid, sold = {"key": shop.gateway.key}, Sold()
    await _until(shop, sold, 200, **postpaid)
    with _locked(shop):
        shop.kill("worker", chance)
        await _until(shop, sold, 503, **postpaid)
        shop.kill("worker", chance)

    await _until(shop, sold, 200, **postpaid)
    await asyncio.to_thread(wait_for, lambda: _ended_in(shop, sold), "all charges")

    assert sold.wanting == set()
    shop.verify()


def test_ballast_leaves_no_room(tmp_path):
    with _disk(tmp_path / "disk", 1):
        _fill(tmp_path / "disk")

        with pytest.raises(OSError, match="No space") as caught:
            (tmp_path / "disk" / "more").write_bytes(bytes(4096))

    assert caught.value.errno == errno.ENOSPC
