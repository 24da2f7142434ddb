"""Wires one worker: what answers each route, and what it stands on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.service import Authenticator
from meterway.db import schema, versions
from meterway.db.engine import open_engine, reading
from meterway.edge.anthropic import count_tokens, messages
from meterway.edge.http import Handler, InFlight
from meterway.edge.limits import Limits
from meterway.edge.openai import chat, models
from meterway.edge.platform import docs, keys
from meterway.edge.platform.envelope import Door, Unpaced
from meterway.edge.platform.health import Check, Readiness, alive
from meterway.edge.platform.home import home
from meterway.edge.platform.metrics import Metrics
from meterway.edge.platform.openapi import openapi
from meterway.edge.platform.version import version
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.kit import secret_file
from meterway.kit.clock import SystemClock
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.processes.relaying import Relaying
from meterway.relay.counting import InputCounter
from meterway.settings import Settings
from meterway.tokens.remote import RemoteCounting
from meterway.tokens.service import TokenCounter

_log = structlog.get_logger()
_ALIVE = ("/health", "/healthz", "/livez")
_READY = ("/ready", "/readyz", "/health/readiness")


class Gateway:
    """One worker's parts: `app` serves; `close` lets go of what the others hold."""

    def __init__(self, settings: Settings, *, node: int, counter: Path) -> None:
        clock = SystemClock()
        self._tasks = Tasks()
        self._engine = open_engine(settings.database)
        self._counter = TokenCounter(RemoteCounting(counter))
        self._relaying = Relaying(settings, self._engine, clock, self._counter, f"worker-{node}")
        pepper = secret_file.load(settings.secret_path).pepper
        self._authenticator = Authenticator(self._engine, pepper, clock, size=settings.key_cache)
        self._watcher = versions.Watcher(
            self._engine,
            clock,
            settings.snapshot_poll_ms / 1000,
            {
                versions.KEYS: partial(_forget, self._authenticator),
                versions.CHANNELS: self._relaying.refresh,
            },
        )
        self._in_flight = InFlight(settings.in_flight_limit)
        self._readiness = Readiness(_checks(self._engine, self._relaying), clock)
        desk = Desk(
            authenticator=self._authenticator,
            gate=self._relaying.gate,
            in_flight=self._in_flight,
            tasks=self._tasks,
            body_limit=settings.body_limit,
            drain_seconds=settings.drain,
            keep_alive_seconds=settings.keep_alive,
        )
        paid = _paid(desk, self._relaying, self._counter)
        office = keys.KeyDesk(
            engine=self._engine,
            clock=clock,
            pepper=pepper,
            models=self._relaying.catalog.models,
            units_per_usd=settings.units_per_usd,
        )
        free = _free(self._authenticator, self._readiness, _secret(settings))
        self._door = Door(
            authenticator=self._authenticator, in_flight=self._in_flight, pace=Unpaced()
        )
        ours = keys.routes(self._door, office)
        self.app = Server([*paid, *ours, *free], CallIds(node))

    async def start(self) -> None:
        """Load the snapshots and keep them fresh; a database that is down may come up later."""
        try:
            await self._watcher.look()
        except MeterwayError as error:
            _log.error("gateway.starts_without_database", error=error.message)
        self._tasks.spawn(self._watcher.run(), name="versions.watch")

    def drain(self) -> None:
        """Tell load balancers that the end is near."""
        self._readiness.draining = True

    def held_bytes(self) -> int:
        """Return the request bytes in memory."""
        return self._in_flight.held

    async def close(self) -> None:
        """Let go of everything; no request is running any more."""
        await self._tasks.cancel()
        await self._relaying.close()
        await self._counter.close()
        await self._door.close()
        await self._authenticator.close()
        await self._engine.dispose()


async def build(settings: Settings, *, node: int, counter: Path) -> Gateway:
    """Make and start the gateway of one worker.

    `node` differs between the workers of an installation, for their call ids; `counter` is the
    counter process's socket. Raises `SecretFileError`.
    """
    gateway = Gateway(settings, node=node, counter=counter)
    await gateway.start()
    return gateway


def limits_of(settings: Settings) -> Limits:
    """Return what a client's connection may cost."""
    return Limits(
        head_bytes=settings.head_limit,
        head_count=settings.head_count,
        head_seconds=settings.head_timeout,
        body_idle_seconds=settings.body_idle_timeout,
    )


def _paid(desk: Desk, relaying: Relaying, counter: TokenCounter) -> Sequence[Route]:
    counting = InputCounter(relaying.gate, counter, relaying.network)
    listed = models.ModelList(desk.authenticator, relaying.offered)
    one = models.OneModel(desk.authenticator, relaying.find)
    return [
        Route("POST", chat.PATH, chat.endpoint(desk)),
        Route("POST", messages.PATH, messages.endpoint(desk)),
        Route("POST", count_tokens.PATH, count_tokens.CountTokens(desk, counting)),
        Route("GET", models.LIST_PATH, listed),
        Route("GET", models.ONE_PATH, one),
    ]


def _free(
    authenticator: Authenticator, readiness: Readiness, metrics_token: str | None
) -> Sequence[Route]:
    handlers: dict[str, Handler] = {
        "/": home,
        **dict.fromkeys(_ALIVE, alive),
        **dict.fromkeys(_READY, readiness),
        "/metrics": Metrics(authenticator, metrics_token),
        "/openapi.json": openapi,
        **{path: docs.asset(path) for path in docs.ASSETS},
        "/version": version,
    }
    return [Route("GET", path, handler) for path, handler in handlers.items()]


def _checks(engine: AsyncEngine, relaying: Relaying) -> dict[str, Check]:
    return {
        "database": partial(_database, engine),
        "migrations": partial(_migrations, engine),
        "channels": partial(_channels, relaying),
    }


async def _database(engine: AsyncEngine) -> None:
    async with reading(engine) as connection:
        await connection.execute(text("SELECT 1"))


async def _migrations(engine: AsyncEngine) -> None:
    async with reading(engine) as connection:
        await schema.require_head(connection)


async def _channels(relaying: Relaying) -> None:
    if not relaying.loaded:
        raise UnavailableError("The channels have not been read yet.")


async def _forget(authenticator: Authenticator) -> None:
    authenticator.forget()


def _secret(settings: Settings) -> str | None:
    token = settings.metrics_token
    return token.get_secret_value() if token else None
