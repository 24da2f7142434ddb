"""Writes of many calls in one transaction, for which all of them wait together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import Line
from meterway.db.rows import Into, Values, insert
from meterway.kit.errors import UnavailableError
from meterway.kit.tasks import Tasks

_LINGER_SECONDS: Final = 0.05  # with the connection in hand: under load the next wish comes sooner
_MOST: Final = 100  # works in one transaction
T = TypeVar("T")

Work: TypeAlias = Callable[[AsyncConnection], Awaitable[Any]]
_Result: TypeAlias = tuple[Any, Exception | None]


class _Wish:
    """One caller's work, or the row it wants inserted, and the future its end is told to."""

    __slots__ = ("ended", "into", "order", "row", "work")

    def __init__(
        self, order: str, work: Work | None = None, into: Into | None = None, row: Values = ()
    ) -> None:
        self.order = order
        self.work = work
        self.into = into
        self.row = row
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def do(self, tx: AsyncConnection) -> Any:
        """Do what is wished, in a transaction."""
        if self.into is not None:
            return await insert(tx, *self.into, [self.row])
        assert self.work is not None, "it is one of the two"
        return await self.work(tx)


class Writer:
    """Writes what the calls of one process keep; each call waits until its own is committed.

    What comes while one transaction is written goes into the next: so a lone call waits for nobody,
    and many wait for few. Works touch the database alone, for one that fails is undone and the
    others are done again without it. A caller who leaves changes nothing. The connection is kept
    until nothing came for a moment.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
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

    def add(self, into: Into, row: Values) -> Awaitable[None]:
        """Insert a row with all others, which costs each the least.

        Raises `IntegrityError` where it breaks a constraint, and `UnavailableError` with a
        `retry_after`.
        """
        return self._wish(_Wish("", None, into, row))

    def _wish(self, wish: _Wish) -> Awaitable[Any]:
        self._wishes.append(wish)
        self._called.set()
        if not self._running:
            self._running = True
            self._tasks.spawn(self._run(), name="threads.write")
        return wish.ended

    async def close(self) -> None:
        """Wait for what is being written; before the engine is disposed of."""
        self._called.set()
        await self._tasks.drain()

    async def _run(self) -> None:
        group: list[_Wish] = []
        line = Line(self._engine)
        try:
            while await self._more():
                await asyncio.sleep(0)  # for what else comes in this turn of the loop
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
                async with asyncio.timeout(_LINGER_SECONDS):
                    await self._called.wait()
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
        rows = _rows(group)
        works = [wish for wish in group if wish.into is None]
        try:
            if not works:
                await line.insert(rows)
                return [(None, None)] * len(group)
            async with line.transaction() as tx:
                for into, values in rows.items():
                    await insert(tx, *into, values)
                return [(None if wish.into else await wish.do(tx), None) for wish in group]
        except UnavailableError:
            raise
        except Exception as failure:  # noqa: BLE001 - told to the caller whose work it was
            if len(group) == 1:
                return [(None, failure)]
        async with line.transaction() as tx:
            return [await _apart(tx, wish) for wish in group]


def _rows(group: Iterable[_Wish]) -> dict[Into, list[Values]]:
    """Return the rows that a group wants inserted, by where they go."""
    found: dict[Into, list[Values]] = {}
    for wish in group:
        if wish.into is not None:
            found.setdefault(wish.into, []).append(wish.row)
    return found


def _again(error: Exception) -> Exception:
    """Return an error of one's own: many raise what one transaction failed of."""
    if isinstance(error, UnavailableError):
        return UnavailableError(error.message, retry_after=error.retry_after)
    return error


async def _apart(tx: AsyncConnection, wish: _Wish) -> _Result:
    """Do one wish of a transaction so that its failure undoes it alone."""
    try:
        async with tx.begin_nested():
            return await wish.do(tx), None
    except UnavailableError:
        raise
    except Exception as failure:  # noqa: BLE001 - told to the caller whose work it was
        return None, failure
