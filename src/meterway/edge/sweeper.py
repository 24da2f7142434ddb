"""Looks over the connections of one server once in a while; none of them needs a timer."""

import asyncio
from collections.abc import Iterable
from typing import Protocol, cast

from uvicorn.server import ServerState


class Swept(Protocol):
    """A connection that is told when its `deadline`, a loop time, has passed."""

    deadline: float

    def expire(self, now: float) -> None:
        """Act on the passed deadline, and set the next one or end."""


class Sweeper:
    """Sweeps every so many seconds, as long as there are connections."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running = False

    def attend(self, loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
        """Sweep from now on, where that is not done already."""
        if not self._running:
            self._running = True
            loop.call_later(self._seconds, self._sweep, loop, state)

    def _sweep(self, loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
        now = loop.time()
        for connection in tuple(cast("Iterable[Swept]", state.connections)):
            if connection.deadline < now:
                connection.expire(now)
        self._running = False
        if state.connections:
            self.attend(loop, state)
