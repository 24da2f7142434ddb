"""Versions move with the change, and watchers follow."""

import asyncio

import pytest

from meterway.db import versions
from meterway.db.engine import open_engine, reading, transaction
from meterway.db.versions import Watcher
from meterway.kit.errors import UnavailableError
from tests.factories.databases import sqlite_url
from tests.fakes.clock import FakeClock


class Recorder:
    def __init__(self):
        self.calls = 0
        self.failures = 0

    async def refresh(self):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("refresh failed")
        self.calls += 1


async def _bump(engine, topic):
    async with transaction(engine) as tx:
        await versions.bump(tx, topic)


async def test_each_bump_moves_its_topic_alone(engine):
    await _bump(engine, "a")
    await _bump(engine, "a")
    await _bump(engine, "b")

    async with reading(engine) as connection:
        assert await versions.read(connection) == {"a": 2, "b": 1}


async def test_first_look_loads_and_further_ones_call_only_after_moves(sqlite):
    keys, channels = Recorder(), Recorder()
    callbacks = {"keys": keys.refresh, "channels": channels.refresh}
    watcher = Watcher(sqlite, FakeClock(), 0.25, callbacks)

    await watcher.look()
    await watcher.look()
    await _bump(sqlite, "keys")
    await watcher.look()

    assert (keys.calls, channels.calls) == (2, 1)


async def test_failed_refresh_is_called_again(sqlite):
    keys = Recorder()
    keys.failures = 1
    watcher = Watcher(sqlite, FakeClock(), 0.25, {"keys": keys.refresh})

    with pytest.raises(RuntimeError):
        await watcher.look()
    await watcher.look()

    assert keys.calls == 1


async def test_look_tells_when_the_database_fails(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "none" / "x.db"))

    with pytest.raises(UnavailableError):
        await Watcher(engine, FakeClock(), 0.25, {}).look()

    await engine.dispose()


async def test_watcher_outlives_a_failing_database(sqlite, tmp_path):
    keys = Recorder()
    clock = FakeClock()
    watcher = Watcher(sqlite, clock, 0.25, {"keys": keys.refresh})
    await watcher.look()
    async with transaction(sqlite) as tx:
        await tx.exec_driver_sql("ALTER TABLE versions RENAME TO hidden")

    watching = asyncio.create_task(watcher.run())
    await _polled(clock, lambda: watcher._failing)
    async with transaction(sqlite) as tx:
        await tx.exec_driver_sql("ALTER TABLE hidden RENAME TO versions")
        await versions.bump(tx, "keys")
    await _polled(clock, lambda: keys.calls == 2)

    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])


async def _polled(clock, condition):
    async with asyncio.timeout(10):
        while not condition():
            clock.advance(0.25)
            await asyncio.sleep(0.001)
