"""What the backstage process does besides posting, each thing over and over in its own time."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.db.engine import durable_transaction, reading, transaction
from meterway.idempotency import service as idempotency
from meterway.kit import metrics
from meterway.kit.clock import Clock
from meterway.kit.money import Nanos
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.gifts import service as gifts
from meterway.threads import service as threads

PAUSE: Final = 60.0
"""Seconds between two times of one chore; none where it said that more waits."""

_DAY: Final = 86_400.0
_PART: Final = 100  # users or credits in one transaction
_log = structlog.get_logger()


Work: TypeAlias = Callable[[], Awaitable[int]]
"""Does what is due; returns how much that was."""


class Chores:
    """Checks, purges, expiries, gifts and erasures; `due` yields what is to be done now.

    `daily_free` is what each prepaid user's free money is filled up to once a day; calls posted
    more than `keep_days` ago are erased, None keeping them.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        daily_free: Nanos = 0,
        keep_days: int | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._daily_free = daily_free
        self._keep_days = keep_days
        works: list[Work] = [self._look, self._purge, self._expire, self._forget]
        if daily_free:
            works.append(self._give_daily)
        if keep_days is not None:
            works.append(self._erase)
        self._due = dict.fromkeys(works, clock.monotonic())

    def due(self) -> Iterator[Work]:
        """Yield what is due, to be called at once; each returns how much it did."""
        for work, moment in self._due.items():
            if self._clock.monotonic() >= moment:
                self._due[work] = self._clock.monotonic() + PAUSE
                yield work

    def _soon(self, work: Work) -> None:
        """Go on with `work` at the next turn: posting comes in between."""
        self._due[work] = self._clock.monotonic()

    async def _look(self) -> int:
        """Check what must always hold; an alarm, where it does not."""
        async with reading(self._engine) as connection:
            broken = await budgets.broken(connection)
        metrics.BROKEN_INVARIANTS.set(len(broken))
        for what in broken:
            _log.error("ledger.broken", what=what)
        return len(broken)

    async def _purge(self) -> int:
        """Forget the replies to repeated requests whose day is over."""
        async with transaction(self._engine) as tx:
            return await idempotency.purge(tx, self._clock.now())

    async def _expire(self) -> int:
        """Take back what is left of credits that have ended."""
        async with durable_transaction(self._engine) as tx:
            return await gifts.expire(tx, at=self._clock.now(), most=_PART)

    async def _forget(self) -> int:
        """Delete responses and completions that were kept long enough."""
        async with transaction(self._engine) as tx:
            gone = await threads.expire(tx, self._clock.now())
        if gone:
            _log.info("threads.expired", deleted=gone)
            self._soon(self._forget)
        return gone

    async def _give_daily(self) -> int:
        """Fill up the free money of users who had none today."""
        async with durable_transaction(self._engine) as tx:
            served = await gifts.give_daily(tx, self._daily_free, at=self._clock.now(), most=_PART)
        if served:
            self._soon(self._give_daily)
        return served

    async def _erase(self) -> int:
        """Erase calls that were kept long enough."""
        assert self._keep_days is not None, "else it is no chore"
        now = self._clock.now()
        async with durable_transaction(self._engine) as tx:
            erased = await charges.erase_before(tx, now - self._keep_days * _DAY, at=now)
        if erased:
            _log.info("usage.erased", calls=erased)
            self._soon(self._erase)
        return erased
