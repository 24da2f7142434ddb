"""Time as a value that is handed in, so that tests can move it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the product asks what time it is."""

    def now(self) -> float:
        """Wall time in seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Return after at least `seconds` on this clock."""


class SystemClock:
    """The machine's own clock; calls are timed many times, so nothing is put before Python's."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Return after at least `seconds`."""
        await asyncio.sleep(seconds)
