"""Wires one worker: what answers each route, and what it stands on."""

import asyncio
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.service import Authenticator
from meterway.catalog.service import Catalog
from meterway.db import schema, versions
from meterway.db.engine import open_engine, reading
from meterway.edge.http import InFlight
from meterway.edge.idempotency import Idempotence
from meterway.edge.limits import Limits
from meterway.edge.openai.responses.recall import Recall
from meterway.edge.openai.responses.socket import Sockets
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform.envelope import Door
from meterway.edge.platform.health import Check, Readiness
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.idempotency import service as idempotency
from meterway.idempotency.keeper import Keeper
from meterway.kit import secret_file
from meterway.kit.clock import Clock, SystemClock
from meterway.kit.crypto import Box
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.ids import CallIds, random_text
from meterway.kit.tasks import Tasks
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.board import Board
from meterway.limits.service import Limiter, Pace, Policy, open_counts
from meterway.processes import routes
from meterway.processes.fates import fate_of
from meterway.processes.limiting import membership_prices, tier_limits
from meterway.processes.money import Money
from meterway.processes.relaying import Relaying
from meterway.processes.routes import Office
from meterway.processes.workplace import Workplace
from meterway.relay.limits import CallLimits
from meterway.settings import Settings
from meterway.threads.types import Retention
from meterway.threads.writer import Writer
from meterway.tokens.remote import RemoteCounting
from meterway.tokens.service import TokenCounter

_log = structlog.get_logger()
_PROCESS_NAME = 16  # letters and digits; no two processes share one


class Gateway:
    """One worker's parts: `app` serves; `close` lets go of what the others hold."""

    def __init__(self, settings: Settings, *, node: int, place: Workplace) -> None:
        clock = SystemClock()
        self._tasks = Tasks()
        self._engine = open_engine(settings.database)
        self._counter = TokenCounter(RemoteCounting(place.counter))
        self._counts = open_counts(place.limits, node)
        self._queue = Board(place.queue)
        self._in_flight = InFlight(settings.in_flight_limit)
        process = f"worker-{node}"
        limits = CallLimits(Limiter(self._counts, clock), Policy(tier_limits(settings)), clock)
        ids = CallIds(node)
        self._money = _money(settings, self._engine, clock, ids, place, process)
        self._relaying = Relaying(
            settings,
            self._engine,
            clock,
            self._counter,
            process,
            limits,
            self._money,
            self._in_flight,
        )
        self._readiness = Readiness(_checks(self._engine, self._relaying), clock)
        pepper = secret_file.load(settings.secret_path).pepper
        self._authenticator = Authenticator(self._engine, pepper, clock, size=settings.key_cache)
        self._watcher = self._watching(settings, clock)
        box = partial(_box, settings.secret_path)
        name = random_text(_PROCESS_NAME) if self._money is None else self._money.name
        self._keeper = Keeper(self._engine, clock, box, name)
        self._writer = Writer(self._engine)
        self._door = Door(
            authenticator=self._authenticator,
            in_flight=self._in_flight,
            pace=Pace(self._counts, clock),
        )
        office = self._office(settings, clock, pepper)
        self.app = Server(self._routes(settings, office, ids), ids)

    def _office(self, settings: Settings, clock: Clock, pepper: bytes) -> Office:
        return Office(
            engine=self._engine,
            clock=clock,
            pepper=pepper,
            units_per_usd=settings.units_per_usd,
            relaying=self._relaying,
            money=self._money,
            membership_prices=membership_prices(settings),
        )

    def _watching(self, settings: Settings, clock: Clock) -> versions.Watcher:
        return versions.Watcher(
            self._engine,
            clock,
            settings.snapshot_poll_ms / 1000,
            {
                versions.KEYS: partial(_forget, self._authenticator),
                versions.PRICES: self._follow_prices,
                versions.CHANNELS: self._relaying.refresh,
                budgets.RECALLS: self._answer_recalls,
            },
        )

    def _routes(self, settings: Settings, office: Office, ids: CallIds) -> list[Route]:
        desk = Desk(
            authenticator=self._authenticator,
            gate=self._relaying.gate,
            in_flight=self._in_flight,
            tasks=self._tasks,
            body_limit=settings.body_limit,
            drain_seconds=settings.drain,
            keep_alive_seconds=settings.keep_alive,
            kept=self._money.kept if self._money and settings.journal_sync == "always" else None,
        )
        told = idempotency.never_free if self._money is None else fate_of
        once = Idempotence(desk=desk, keeper=self._keeper, fate_of=told)
        shelf = self._shelf(settings)
        sockets = Sockets(
            ids=ids,
            recall=Recall(),
            limit=settings.websocket_limit,
            each=settings.websockets_each,
            offered=settings.websockets,
        )
        return [
            *routes.paid(desk, once, self._relaying, self._counter, shelf, self._queue.bump),
            *routes.sockets(desk, shelf, sockets),
            *routes.platform(self._door, office, once),
            *routes.free(self._door, self._readiness, _secret(settings)),
        ]

    def _shelf(self, settings: Settings) -> Shelf:
        return Shelf(
            door=self._door,
            engine=self._engine,
            writer=self._writer,
            clock=SystemClock(),
            retention=Retention(settings.stored_days),
            body_limit=settings.body_limit,
        )

    async def start(self) -> None:
        """Load the snapshots and keep them fresh; a database that is down may come up later."""
        opening = [] if self._money is None else [self._money.start(self._tasks)]
        await asyncio.gather(self._look(), *opening)
        self._tasks.spawn(self._watcher.run(), name="versions.watch")
        self._tasks.spawn(self._keeper.run(), name="idempotency.renewal")

    async def _look(self) -> None:
        try:
            await self._watcher.look()
        except MeterwayError as error:
            _log.error("gateway.starts_without_database", error=error.message)

    async def _follow_prices(self) -> None:
        """Read the price book, and offer what has a price now."""
        if self._money is not None:
            await self._money.refresh()
        if self._relaying.loaded:
            await self._relaying.refresh()

    async def _answer_recalls(self) -> None:
        if self._money is not None:
            await self._money.answer_recalls()

    def drain(self) -> None:
        """Tell load balancers that the end is near."""
        self._readiness.draining = True

    def held_bytes(self) -> int:
        """Return the request bytes in memory."""
        return self._in_flight.held

    def before_writing(self) -> None:
        """Journal what ended calls cost, before a byte of their replies' ends leaves."""
        self._relaying.write_down()

    async def close(self) -> None:
        """Let go of everything; no request is running any more."""
        await self._tasks.cancel()
        await self._relaying.close()
        if self._money is not None:
            await self._money.close()
        await self._counter.close()
        await self._door.close()
        await self._authenticator.close()
        await self._writer.close()
        await self._keeper.close()
        await self._engine.dispose()
        self._counts.close()
        self._queue.close()


async def build(settings: Settings, *, node: int, place: Workplace) -> Gateway:
    """Make and start the gateway of one worker.

    `node` differs between the workers of an installation, for their call ids; `place` is where
    its processes meet. Raises `SecretFileError`.
    """
    gateway = Gateway(settings, node=node, place=place)
    await gateway.start()
    return gateway


def _money(  # noqa: PLR0913, PLR0917 - what a worker has
    settings: Settings,
    engine: AsyncEngine,
    clock: Clock,
    ids: CallIds,
    place: Workplace,
    process: str,
) -> Money | None:
    """Return what the worker keeps of money; None where nothing is billed."""
    if not settings.billing:
        return None
    return Money(
        engine,
        clock,
        Catalog(),
        ids=ids,
        folder=settings.journals,
        board=place.board,
        process=process,
        workers=settings.workers,
        syncs=settings.journal_sync == "always",
    )


def limits_of(settings: Settings) -> Limits:
    """Return what a client's connection may cost."""
    return Limits(
        head_bytes=settings.head_limit,
        head_count=settings.head_count,
        head_seconds=settings.head_timeout,
        body_idle_seconds=settings.body_idle_timeout,
        ping_seconds=settings.websocket_ping,
    )


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


def _box(secret: Path) -> Box:
    return secret_file.load(secret).box  # anew each time: a rotation may have changed it


def _secret(settings: Settings) -> str | None:
    token = settings.metrics_token
    return token.get_secret_value() if token else None
