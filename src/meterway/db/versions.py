"""Versions: numbers that move in the changing transaction, so that caches know they are old."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from sqlalchemy import BigInteger, Column, String, Table, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import reading
from meterway.db.metadata import metadata
from meterway.kit.clock import Clock
from meterway.kit.errors import UnavailableError
from meterway.kit.tasks import Tasks

KEYS: Final = "keys"
CHANNELS: Final = "channels"
PRICES: Final = "prices"

versions = Table(
    "versions",
    metadata,
    Column("topic", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

_BUMP = text(
    "INSERT INTO versions (topic, version) VALUES (:topic, 1) "
    "ON CONFLICT (topic) DO UPDATE SET version = versions.version + 1"
)
_log = structlog.get_logger()

Refresh = Callable[[], Awaitable[None]]


async def bump(tx: AsyncConnection, topic: str) -> None:
    """Move a topic's version; others see it when the transaction commits."""
    await tx.execute(_BUMP, {"topic": topic})


async def read(connection: AsyncConnection) -> dict[str, int]:
    """Return every topic's version; a topic that never moved is absent."""
    rows = await connection.execute(select(versions.c.topic, versions.c.version))
    return {row.topic: row.version for row in rows}


class Watcher:
    """Calls back when a topic's version moved; one per process.

    Each callback runs once at the first look, which is how a snapshot is loaded, and again after
    each move. One that fails is called again at the next look. While the database fails the
    snapshots stay as they are. `interval` is in seconds.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        interval: float,
        callbacks: Mapping[str, Refresh],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._interval = interval
        self._callbacks = dict(callbacks)
        self._seen: dict[str, int] = {}
        self._failing = False
        self._tasks = Tasks()

    async def look(self) -> None:
        """Read the versions once and call back for each topic that moved.

        Raises `UnavailableError` where the database fails, and what a callback raises.
        """
        async with reading(self._engine) as connection:
            now = await read(connection)
        for topic, refresh in self._callbacks.items():
            version = now.get(topic, 0)
            if self._seen.get(topic) != version:
                await refresh()
                self._seen[topic] = version

    async def run(self) -> None:
        """Look for ever, one interval apart; ends by being cancelled, after a look under way."""
        while True:
            await self._clock.sleep(self._interval)
            looking = self._tasks.spawn(self._look_safely(), name="versions.look")
            try:
                await asyncio.shield(looking)
            finally:
                await self._tasks.drain()  # a connection is not cut in the middle of an answer

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except Exception as error:  # noqa: BLE001 - a snapshot must outlive any failed refresh
            if not self._failing:
                passing = isinstance(error, UnavailableError)
                _log.warning("versions.unreadable", exc_info=None if passing else error)
            self._failing = True
            return
        if self._failing:
            self._failing = False
            _log.info("versions.readable")
