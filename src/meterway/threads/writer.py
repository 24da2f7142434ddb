"""Writes of many calls in one transaction, for which all of them wait together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import Line
from meterway.kit.errors import UnavailableError
from meterway.kit.tasks import Tasks

GATHER_SECONDS: Final = 0.005
_LINGER_SECONDS: Final = 0.05  # with the connection in hand: under load the next wish comes sooner
_MOST: Final = 100  # works in one transaction
T = TypeVar("T")
V = TypeVar("V")

Work: TypeAlias = Callable[[AsyncConnection], Awaitable[Any]]
Insert: TypeAlias = Callable[[AsyncConnection, Sequence[T]], Awaitable[None]]
"""Inserts any number of values at once; the same function for all of a kind."""

_Result: TypeAlias = tuple[Any, Exception | None]


class _Wish:
    """One caller's work, and the future its end is told to."""

    __slots__ = ("ended", "insert", "order", "value", "work")

    def __init__(
        self, order: str, work: Work, insert: Insert[Any] | None = None, value: Any = None
    ) -> None:
        self.order = order
        self.work = work
        self.insert = insert
        self.value = value
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Writer:
    """Writes what the calls of one process keep; each call waits until its own is committed.

    What comes within `gather` seconds of the first is written with it. Works touch the database
    alone, for one that fails is undone and the others are done again without it. A caller who
    leaves changes nothing. The connection is kept until nothing came for a moment.
    """

    def __init__(self, engine: AsyncEngine, *, gather: float = GATHER_SECONDS) -> None:
        self._engine = engine
        self._gather = gather
        self._wishes: list[_Wish] = []
        self._running = False
        self._called = asyncio.Event()
        self._tasks = Tasks()

    async def put(self, work: Callable[[AsyncConnection], Awaitable[T]], order: str = "") -> T:
        """Do `work` in a transaction with others' and return what it returns, once committed.

        `order` names the row that `work` locks and others may, such as a conversation's id: rows
        are locked in the order of these names, so that two processes never wait for each other.
        Raises what `work` raises, and `UnavailableError` with a `retry_after`.
        """
        return cast("T", await self._wish(_Wish(order, work)))

    async def add(self, insert: Insert[V], value: V) -> None:
        """Insert `value` with all those that are inserted alike, which costs each a part.

        Raises what `insert` raises of `value` alone, and `UnavailableError` with a `retry_after`.
        """
        await self._wish(_Wish("", lambda tx: insert(tx, [value]), insert, value))

    async def _wish(self, wish: _Wish) -> Any:
        self._wishes.append(wish)
        self._called.set()
        if not self._running:
            self._running = True
            self._tasks.spawn(self._run(), name="threads.write")
        return await wish.ended

    async def close(self) -> None:
        """Wait for what is being written; before the engine is disposed of."""
        self._called.set()
        await self._tasks.drain()

    async def _run(self) -> None:
        group: list[_Wish] = []
        line = Line(self._engine)
        try:
            while await self._more():
                await asyncio.sleep(self._gather)
                group, self._wishes = self._wishes[:_MOST], self._wishes[_MOST:]
                group.sort(key=lambda wish: wish.order)
                await self._serve(line, group)
                group = []
        finally:
            self._running = False
            for wish in (*group, *self._wishes):  # we were cancelled: nobody serves them any more
                wish.ended.cancel()
            self._wishes = []
            await line.close()

    async def _more(self) -> bool:
        """Wait a moment for a wish where there is none; return whether one is there."""
        if not self._wishes:
            self._called.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), _LINGER_SECONDS)
        return bool(self._wishes)

    async def _serve(self, line: Line, group: list[_Wish]) -> None:
        """Write a group, and tell each of it how that ended."""
        try:
            results = await self._together(line, group)
        except Exception as error:  # noqa: BLE001 - told to all whose transaction it was
            results = [(None, _again(error)) for _ in group]
        for wish, (value, failure) in zip(group, results, strict=True):
            if wish.ended.done():
                continue  # its caller has left
            if failure is None:
                wish.ended.set_result(value)
            else:
                wish.ended.set_exception(failure)

    async def _together(self, line: Line, group: list[_Wish]) -> list[_Result]:
        """Write a group in one transaction; where one of it fails, each on its own in another.

        A savepoint for each from the beginning would cost all of them, and nearly none fails.
        """
        try:
            async with line.transaction() as tx:
                return await _all(tx, group)
        except UnavailableError:
            raise
        except Exception as failure:  # noqa: BLE001 - told to the caller whose work it was
            if len(group) == 1:
                return [(None, failure)]
        async with line.transaction() as tx:
            return [await _apart(tx, wish.work) for wish in group]


async def _all(tx: AsyncConnection, group: Sequence[_Wish]) -> list[_Result]:
    """Do all works of a group, what is inserted alike at once."""
    alike: dict[Insert[Any], list[Any]] = {}
    for wish in group:
        if wish.insert is not None:
            alike.setdefault(wish.insert, []).append(wish.value)
    for insert, values in alike.items():
        await insert(tx, values)
    return [(await wish.work(tx) if wish.insert is None else None, None) for wish in group]


def _again(error: Exception) -> Exception:
    """Return an error of one's own: many raise what one transaction failed of."""
    if isinstance(error, UnavailableError):
        return UnavailableError(error.message, retry_after=error.retry_after)
    return error


async def _apart(tx: AsyncConnection, work: Work) -> _Result:
    """Do one work of a transaction so that its failure undoes it alone."""
    try:
        async with tx.begin_nested():
            return await work(tx), None
    except UnavailableError:
        raise
    except Exception as failure:  # noqa: BLE001 - told to the caller whose work it was
        return None, failure
