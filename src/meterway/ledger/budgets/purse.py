"""The purse: a worker's leases in memory, from which calls are paid without asking anybody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import reading, transaction
from meterway.kit.clock import Clock
from meterway.kit.errors import UnavailableError
from meterway.kit.money import NANOS_PER_USD, Nanos
from meterway.kit.tasks import Tasks
from meterway.ledger.budgets import service as budgets_
from meterway.ledger.budgets.board import Board
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.rooms import Doubt, Room, Taken
from meterway.ledger.budgets.types import Budget, BudgetKind, Share, Want

LOOK: Final = 0.025
"""How often a worker looks at the board, and a waiting call at its budgets; in seconds."""

_PATIENCE = 0.25
_IDLE = 2.0
_TICK = 1.0
_SLICE = NANOS_PER_USD
_AT_ONCE = 500
_RETRY_AFTER = 1.0
_EMPTY = {
    BudgetKind.WALLET: "The balance does not cover what this call may cost; top it up, or ask for "
    "fewer output tokens.",
    BudgetKind.CREDIT: "The credit of this billing channel does not cover what this call may cost; "
    "have it filled, or ask for fewer output tokens.",
    BudgetKind.KEY: "What this key may still spend does not cover what this call may cost; raise "
    "its max_fee, or use another key.",
    BudgetKind.CAP: "What this app may still charge does not cover it; have the cap raised.",
}

Opener: TypeAlias = Callable[[AsyncEngine], AbstractAsyncContextManager[AsyncConnection]]
_Key: TypeAlias = tuple[Budget, ...]


class _Waiter:
    """A call that waits for a hold."""

    __slots__ = ("amount", "deadline", "served")

    def __init__(self, amount: Nanos, deadline: float) -> None:
        self.amount = amount
        self.deadline = deadline
        self.served: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()


class Purse:
    """The leases of one worker's journal; one event loop uses it, and that makes it atomic.

    What memory offers is never more than the database's lease: memory is lowered before a return
    is written and raised after a grant is committed, and a change whose commit got lost counts
    against us until the lease itself tells whether it happened. `workers` is how many share the
    installation's budgets, `slice_` what a grant takes beyond what is needed, or more of what is
    spent fast. Other machines hear of recalls by the version `budgets.service.RECALLS`: call
    `answer_recalls` when it moves; its poll may outlast the patience of who waits.
    """

    def __init__(  # noqa: PLR0913 - what a worker has, and a seam
        self,
        engine: AsyncEngine,
        journal_id: int,
        clock: Clock,
        board: Board,
        *,
        workers: int,
        slice_: Nanos = _SLICE,
        opened: Opener = transaction,
    ) -> None:
        self._engine = engine
        self._journal_id = journal_id
        self._clock = clock
        self._board = board
        self._workers = workers
        self._slice = slice_
        self._opened = opened
        self._rooms: dict[Budget, Room] = {}
        self._desks: dict[_Key, list[_Waiter]] = {}
        self._tasks = Tasks()
        self._turn = 0
        self._closed = False

    # -- holding ----------------------------------------------------------------------------------

    def take(self, budgets: _Key, amount: Nanos) -> Taken | None:
        """Hold `amount` (more than 0) of each of `budgets`, or of none: then None.

        Whoever gets a hold ends it. Budgets differ from each other.
        """
        known = self._rooms
        rooms = []
        for budget in budgets:
            room = known.get(budget)
            if room is None or room.idle < amount:
                return None
            rooms.append(room)
        for room in rooms:
            room.idle -= amount
            room.held += amount
            room.touched = True
        return Taken(rooms, amount)

    async def borrow(self, budgets: _Key, amount: Nanos) -> Taken:
        """Hold as `take` does, asking the database for what is missing.

        Waits up to 250 ms for what other workers have idle. Raises `InsufficientBalanceError`,
        and `UnavailableError` with a `retry_after`. A cancelled one holds nothing.
        """
        taken = self.take(budgets, amount)
        if taken is not None:
            return taken
        if self._closed:
            raise UnavailableError("The gateway is stopping.", retry_after=_RETRY_AFTER)
        waiter = _Waiter(amount, self._clock.monotonic() + _PATIENCE)
        desk = self._desks.get(budgets)
        if desk is None:
            desk = self._desks[budgets] = [waiter]
            self._tasks.spawn(self._serve(budgets, desk), name="purse.serve")
        else:
            desk.append(waiter)
        try:
            return await waiter.served
        except asyncio.CancelledError:
            if waiter.served.done() and not waiter.served.cancelled():
                with suppress(Exception):  # it was refused, and nobody is left to hear it
                    waiter.served.result().release()
            raise

    # -- returning --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer recalls and return what lies idle, for ever.

        Ends by being cancelled, and with `close`, which waits for what is being returned.
        """
        due = self._clock.monotonic() + _TICK
        while not self._closed:
            await self._clock.sleep(LOOK)
            now = self._clock.monotonic()
            is_due = now >= due
            if is_due:
                due = now + _TICK
            if not self._closed and (is_due or self.heard()):
                await self._apart(self._return(now, is_due=is_due))

    async def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` outlive whoever cancels us, and us outlive its failure, which is logged."""
        await asyncio.wait([self._tasks.spawn(work, name="purse.return")])

    async def _return(self, now: float, *, is_due: bool) -> None:
        if self._board.moved() or not is_due:
            await self.answer_recalls()
        if is_due:
            await self.tick(now)

    def heard(self) -> bool:
        """Say whether somebody on this machine waits since the last look, and we may help."""
        return self._board.moved() and any(room.idle for room in self._rooms.values())

    async def answer_recalls(self) -> None:
        """Return what is idle of budgets that somebody waits for; a failure is left for later."""
        idle = {room.budget_id: room for room in self._rooms.values() if room.idle}
        with suppress(UnavailableError):
            async with reading(self._engine) as connection:
                wanted = await budgets_.recalled(connection, list(idle))
            await self._give_back([idle[budget_id] for budget_id in wanted])

    async def tick(self, now: float) -> None:
        """Return what nobody used for two seconds; a failure is left for the next tick.

        `now` is the clock's monotonic time.
        """
        idle = []
        wanted = {budget for key in self._desks for budget in key}
        for room in list(self._rooms.values()):
            if room.touched:
                room.touched = False
                room.since = now
            elif room.is_empty and room.budget not in wanted:
                del self._rooms[room.budget]
            elif now - room.since >= _IDLE and not room.lock.locked():
                idle.append(room)
        with suppress(UnavailableError):
            await self._give_back(idle)

    async def close(self) -> None:
        """Refuse new loans, let those under way end, and return what is idle.

        What cannot be returned now returns with the journal.
        """
        self._closed = True
        await self._tasks.drain()
        with suppress(UnavailableError):
            await self._give_back(self._rooms.values())

    async def _give_back(self, rooms: Iterable[Room]) -> None:
        ordered = sorted(rooms, key=lambda room: room.budget)
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            async with self._locked(some):
                await self._learn(some)
                await self._give_back_now([room for room in some if room.idle])

    async def _give_back_now(self, rooms: Sequence[Room]) -> None:
        if not rooms:
            return
        amounts = {room.budget_id: room.idle for room in rooms}
        for room in rooms:
            room.idle = 0  # first, for the moment it is written others may lease it
        turn = self._next_turn()
        committing = False
        try:
            async with self._opened(self._engine) as tx:
                await budgets_.give_back(tx, self._journal_id, amounts, turn=turn)
                committing = True
        except BaseException:
            for room in rooms:
                if committing:
                    room.doubt = Doubt(turn, amounts[room.budget_id], giving=True)
                else:
                    room.idle += amounts[room.budget_id]
            raise

    # -- borrowing --------------------------------------------------------------------------------

    async def _serve(self, key: _Key, desk: list[_Waiter]) -> None:
        """Serve all who wait for the same budgets, until nobody does."""
        try:
            while True:
                await self._ask_for_all(key, desk)
                if not desk:
                    return
                await self._clock.sleep(LOOK)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, and raises it
            for waiter in desk:
                if not waiter.served.done():
                    waiter.served.set_exception(error)
        finally:
            del self._desks[key]
            for waiter in desk:
                waiter.served.cancel()

    async def _ask_for_all(self, key: _Key, desk: list[_Waiter]) -> None:
        rooms = [self._rooms.setdefault(budget, Room(budget)) for budget in key]
        shares: dict[Budget, Share] = {}
        async with self._locked(rooms):
            await self._learn(rooms)
            while self._hand_out(key, desk):
                waiter = _next(desk, rooms, shares)
                if waiter is None:
                    break
                shares |= await self._ask(rooms, waiter.amount, sum(one.amount for one in desk))
            self._refuse(desk, rooms, shares)

    def _hand_out(self, key: _Key, desk: list[_Waiter]) -> bool:
        """Serve who can be served, first come first; say whether somebody still waits."""
        for waiter in list(desk):
            if waiter.served.done():
                desk.remove(waiter)
            elif (taken := self.take(key, waiter.amount)) is not None:
                waiter.served.set_result(taken)
                desk.remove(waiter)
        return bool(desk)

    async def _ask(self, rooms: Sequence[Room], amount: Nanos, hoped: Nanos) -> dict[Budget, Share]:
        now = self._clock.monotonic()
        wants = [
            Want(
                room.budget,
                amount - room.idle,
                max(room.slice_at(now, self._slice), hoped - room.idle),
            )
            for room in rooms
            if room.idle < amount
        ]
        turn = self._next_turn()
        shares: dict[Budget, Share] = {}
        committing = False
        try:
            async with self._opened(self._engine) as tx:
                shares = await budgets_.lease(tx, self._journal_id, wants, self._workers, turn=turn)
                committing = True
        except BaseException:
            _note(rooms, shares if committing else {}, now, doubted=turn)
            raise
        _note(rooms, shares, now)
        if any(share.elsewhere for share in shares.values()):
            self._board.bump()
        return {want.budget: Share(0, 0, 0, 0) for want in wants} | shares

    def _refuse(
        self, desk: list[_Waiter], rooms: Sequence[Room], shares: Mapping[Budget, Share]
    ) -> None:
        """Refuse who waited long enough, and at once whom nobody can help."""
        now = self._clock.monotonic()
        for waiter in list(desk):
            short = [
                (room, waiter.amount > room.idle + share.available + (share.elsewhere or 0))
                for room, share in _short(waiter, rooms, shares)
            ]
            hopeless = [room for room, is_hopeless in short if is_hopeless]
            if hopeless or now >= waiter.deadline:
                empty = hopeless[0] if hopeless else short[0][0]
                waiter.served.set_exception(InsufficientBalanceError(_EMPTY[empty.budget.kind]))
                desk.remove(waiter)

    # -- what both need ---------------------------------------------------------------------------

    async def _learn(self, rooms: Sequence[Room]) -> None:
        """Find out whether changes whose commits got lost happened; the rooms are locked."""
        doubtful = [(room, room.doubt) for room in rooms if room.doubt is not None]
        if not doubtful:
            return
        async with self._opened(self._engine) as tx:
            ids = [room.budget_id for room, _ in doubtful]
            turns = await budgets_.turns(tx, self._journal_id, ids)
        for room, doubt in doubtful:
            room.idle += doubt.owed(turns.get(room.budget_id))
            room.doubt = None

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    @asynccontextmanager
    async def _locked(self, rooms: Iterable[Room]) -> AsyncIterator[None]:
        """Be the only one who changes these leases in the database; always in the same order."""
        async with AsyncExitStack() as stack:
            for room in sorted(rooms, key=lambda room: room.budget):
                await stack.enter_async_context(room.lock)
            yield


def _note(
    rooms: Sequence[Room],
    shares: Mapping[Budget, Share],
    now: float,
    *,
    doubted: int | None = None,
) -> None:
    """Remember what was granted, or that it is in doubt; `doubted` is the turn of the change."""
    for room in rooms:
        share = shares.get(room.budget)
        if share is None:
            continue
        room.budget_id = share.budget_id
        if not share.granted:
            continue
        if doubted is None:
            room.grant(share.granted, now)
        else:
            room.doubt = Doubt(doubted, share.granted, giving=False)


def _short(
    waiter: _Waiter, rooms: Sequence[Room], shares: Mapping[Budget, Share]
) -> list[tuple[Room, Share]]:
    """Return the budgets that are known to have too little for a waiter.

    A share that was granted tells nothing of what others hold: who needs more has to ask.
    """
    return [
        (room, share)
        for room in rooms
        if (share := shares.get(room.budget)) is not None
        and share.elsewhere is not None
        and waiter.amount > room.idle + share.available
    ]


def _next(
    desk: Sequence[_Waiter], rooms: Sequence[Room], shares: Mapping[Budget, Share]
) -> _Waiter | None:
    """Return the first who waits and may have luck."""
    return next((one for one in desk if not _short(one, rooms, shares)), None)
