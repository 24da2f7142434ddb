"""One gateway worker: an event loop, a server on the shared socket, and an orderly end."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import uvicorn
import uvloop

from meterway.edge.bounds import BoundedProtocol
from meterway.edge.http import Handler
from meterway.edge.limits import Limits
from meterway.kit import metrics
from meterway.kit.tasks import Tasks
from meterway.processes.child import settle_memory

_TICK = 1.0
_STATM = Path("/proc/self/statm")


class Served(Protocol):
    """What a worker serves: `app` is an ASGI application."""

    @property
    def app(self) -> Handler:
        """The ASGI application."""

    def drain(self) -> None:
        """Tell load balancers that the end is near."""

    def held_bytes(self) -> int:
        """Return the request bytes in memory."""

    def before_writing(self) -> None:
        """Do what must be done before anything is written to clients."""

    async def close(self) -> None:
        """Let go of everything; no request is running any more."""


Build = Callable[[], Awaitable[Served]]


def run_worker(
    name: str, build: Build, listening: socket.socket, limits: Limits, grace: float
) -> None:
    """Serve on `listening` until SIGTERM came and the last reply ended, at most `grace` seconds."""
    metrics.name_process(name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(build, listening, limits, grace))


async def _serve(build: Build, listening: socket.socket, limits: Limits, grace: float) -> None:
    served = await build()
    server = _Server(_config(served, limits, grace))
    loop = asyncio.get_running_loop()
    tasks, parent = Tasks(), os.getppid()

    def stop() -> None:
        served.drain()
        server.should_exit = True

    def tick() -> None:
        if os.getppid() != parent:
            stop()
        state = server.server_state
        metrics.OPEN_REQUESTS.set(len(state.tasks))
        metrics.CONNECTIONS.set(len(state.connections))
        metrics.HELD_BYTES.set(served.held_bytes())
        metrics.RESIDENT_BYTES.set(_resident())

    loop.add_signal_handler(signal.SIGTERM, stop)
    ticking = tasks.spawn(_every_second(tick), name="worker.tick")
    settle_memory()
    try:
        await server.serve([listening])
    finally:
        ticking.cancel()
        await served.close()


async def _every_second(tick: Callable[[], None]) -> None:
    while True:
        tick()
        await asyncio.sleep(_TICK)


class _Server(uvicorn.Server):
    """uvicorn's server, leaving signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(served: Served, limits: Limits, grace: float) -> uvicorn.Config:
    return uvicorn.Config(
        served.app,
        http=BoundedProtocol.with_limits(limits, served.before_writing),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(round(grace), 1),
    )


def _resident() -> int:
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # not Linux
        return 0
