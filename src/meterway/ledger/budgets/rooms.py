"""What a worker's memory knows of its leases, and the holds that calls have on them."""

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from meterway.kit.money import Nanos
from meterway.ledger.budgets.types import Budget, Takes

_SOON, _LATE = 1.0, 4.0  # seconds
_LARGEST = 64


class Doubt(NamedTuple):
    """A change whose commit got lost: it happened, or it did not."""

    turn: int
    amount: Nanos
    giving: bool

    def owed(self, turn: int | None) -> Nanos:
        """Return what memory may trust again, where `turn` is the lease's last change or None.

        A grant nobody trusted was not spent, so its lease is there if it happened. A return that
        did not happen left its amount, so its lease is there if it did not.
        """
        if self.giving:
            return self.amount if turn is not None and turn < self.turn else 0
        return self.amount if turn is not None and turn >= self.turn else 0


class Room:
    """What one lease still has: `idle` for anybody, `held` by open holds.

    The database's `remaining` is never below their sum, whatever failed.
    """

    __slots__ = (
        "_factor",
        "_granted_at",
        "budget",
        "budget_id",
        "doubt",
        "held",
        "idle",
        "lock",
        "since",
        "touched",
    )

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.budget_id = 0
        self.idle: Nanos = 0
        self.held: Nanos = 0
        self.touched = True
        self.since = 0.0
        self.doubt: Doubt | None = None
        self.lock = asyncio.Lock()
        self._factor = 1
        self._granted_at = -math.inf

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known here that must be remembered."""
        return not (self.idle or self.held or self.doubt or self.lock.locked())

    def slice_at(self, now: float, usual: Nanos) -> Nanos:
        """Return the slice to ask for at `now`: `usual`, or more where that does not last.

        It doubles with each grant within a second of the one before, up to 64 times: so the
        database is asked about once a second, however fast the budget is spent. Four seconds
        after a grant it is the usual again.
        """
        return usual * self._factor_at(now)

    def grant(self, amount: Nanos, now: float) -> None:
        """Have so much more, from `now` on."""
        self.idle += amount
        self._factor, self._granted_at = self._factor_at(now), now

    def _factor_at(self, now: float) -> int:
        since = now - self._granted_at
        if since > _LATE:
            return 1
        return min(2 * self._factor, _LARGEST) if since < _SOON else self._factor


class Taken(msgspec.Struct):
    """A hold: the same amount of every budget of a call. It ends by `close` or `release`.

    `rooms` are where it is held, None once it ended.
    """

    rooms: Sequence[Room] | None
    amount: Nanos

    def close(self, spent: Nanos) -> tuple[Takes, Nanos]:
        """End the hold with a price; return what the leases cover of it, and the rest.

        More than was held is covered by what all the leases still have. Raises `RuntimeError`
        where the hold ended before.
        """
        rooms, amount = self.rooms, self.amount
        if rooms is None or spent < 0:
            raise RuntimeError("a hold ends once, with a price that is not negative")
        self.rooms = None
        covered = spent
        if spent > amount:
            covered = min(spent, amount + min([room.idle for room in rooms], default=0))
        for room in rooms:
            room.held -= amount
            room.idle += amount - covered
            room.touched = True
        takes = tuple([(room.budget_id, covered) for room in rooms]) if covered else ()
        return takes, spent - covered

    def release(self) -> None:
        """End the hold without a price; does nothing where it ended before."""
        if self.rooms is not None:
            self.close(0)
