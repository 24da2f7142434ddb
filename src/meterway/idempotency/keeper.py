"""The marked requests one process serves: claimed, renewed while they run, ended for certain."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import transaction
from meterway.idempotency import service
from meterway.idempotency.types import Asked, Claim, Ended, Holder, Sealed
from meterway.kit.clock import Clock
from meterway.kit.crypto import Box
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.tasks import Tasks

_RENEWED = service.LEASE_SECONDS / 3
_AGAIN = 1.0  # seconds between two tries to write an end
_log = structlog.get_logger()

Work: TypeAlias = Callable[[AsyncConnection], Awaitable[bool]]


class Keeper:
    """Serves claims of one process; `process` is a name no other process ever has.

    `box` is asked for at each use, since a rotation may have changed it. Every transaction is a
    task of its own: a caller who is cancelled does not cut the database in the middle. An end that
    could not be written while the database failed is tried again until it is, and its claim is
    renewed meanwhile.
    """

    def __init__(
        self, engine: AsyncEngine, clock: Clock, box: Callable[[], Box], process: str
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._box = box
        self._process = process
        self._running: dict[bytes, Claim] = {}
        self._writing, self._waiting = Tasks(), Tasks()
        self._closing = False

    async def claim(self, asked: Asked, call_id: int, fate_of: service.FateOf) -> Claim | Ended:
        """Return the right to serve a request, or how it ended before.

        Raises what `service.claim` and `service.unseal` raise, `SecretFileError`, and
        `UnavailableError`; nothing may run then.
        """
        box = self._box()  # before the claim: what cannot be sealed later is not begun
        now = self._clock.now()
        wanted = service.claim_of(asked, Holder(self._process, call_id), now)
        claiming = self._writing.spawn(
            self._claimed(asked, wanted, fate_of, now), name="idempotency.claim"
        )
        try:
            found = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._writing.spawn(self._undo(claiming, wanted), name="idempotency.undo")
            raise
        if isinstance(found, UnavailableError):  # whether it was written is not known
            self._writing.spawn(self._undo(claiming, wanted), name="idempotency.undo")
        if isinstance(found, MeterwayError):
            raise found
        if isinstance(found, Sealed):
            return service.unseal(box, asked, found)
        return wanted

    async def keep(self, claim: Claim, ended: Ended) -> None:
        """Keep how a request ended; returns once it is written, or has to wait for that.

        Without a secret to seal it with, the claim is left to lapse: it was served all the same.
        """
        try:
            sealed = service.seal(self._box(), claim, ended)
        except MeterwayError as error:
            self._running.pop(claim.holder, None)
            _log.error("idempotency.not_sealed", user=claim.user_id, error=error.message)
            return
        await self._end(claim, lambda tx: service.finish(tx, claim, sealed))

    async def release(self, claim: Claim) -> None:
        """Forget a request that changed nothing; returns as `keep` does."""
        await self._end(claim, lambda tx: service.release(tx, claim))

    async def run(self) -> None:
        """Renew what runs, for ever; ends by being cancelled."""
        while True:
            await self._clock.sleep(_RENEWED)
            if claims := list(self._running.values()):
                renewing = self._writing.spawn(self._renew(claims), name="idempotency.renew")
                await asyncio.shield(renewing)

    async def close(self) -> None:
        """End what is being written; what waits for the database is given up."""
        self._closing = True
        await self._waiting.cancel()
        await self._writing.drain()

    async def _claimed(
        self, asked: Asked, wanted: Claim, fate_of: service.FateOf, now: float
    ) -> Sealed | MeterwayError | None:
        """Claim in a transaction; a refusal is returned, since it is no failure of this task."""
        try:
            async with transaction(self._engine) as tx:
                found = await service.claim(tx, asked, wanted, fate_of, now)
        except MeterwayError as refusal:
            return refusal
        if found is None:
            self._running[wanted.holder] = wanted
        return found

    async def _undo(
        self, claiming: "asyncio.Task[Sealed | MeterwayError | None]", wanted: Claim
    ) -> None:
        """Release what was claimed for nobody."""
        await asyncio.wait([claiming])
        await self._written(wanted, lambda tx: service.release(tx, wanted), sure=False)

    async def _end(self, claim: Claim, work: Work) -> None:
        ending = self._writing.spawn(self._written(claim, work), name="idempotency.end")
        await asyncio.shield(ending)

    async def _written(self, claim: Claim, work: Work, *, sure: bool = True) -> None:
        """Do `work` in a transaction, later where the database fails.

        `sure` says that the claim is held, so that not finding it is worth a line in the log.
        """
        try:
            async with transaction(self._engine) as tx:
                held = await work(tx)
        except UnavailableError:
            if not self._closing:
                again = self._again(claim, work, sure=sure)
                self._waiting.spawn(again, name="idempotency.wait")
            return
        self._running.pop(claim.holder, None)
        if sure and not held:
            _log.error("idempotency.claim_lost", user=claim.user_id)

    async def _again(self, claim: Claim, work: Work, *, sure: bool) -> None:
        await self._clock.sleep(_AGAIN)
        self._writing.spawn(self._written(claim, work, sure=sure), name="idempotency.end")

    async def _renew(self, claims: list[Claim]) -> None:
        try:
            async with transaction(self._engine) as tx:
                await service.renew(tx, claims, self._clock.now())
        except UnavailableError:
            _log.warning("idempotency.not_renewed", claims=len(claims))
