"""Counts in one file, mapped into the memory of every worker of a machine.

Layout: a head, then cells: the number of a subject, two arrival times, and a row of running calls
with a column per worker. A subject may lie in any of the cells of its group. Nothing grows: a cell
whose times are past and where nothing runs is as good as empty, and where a group has none the
cell that owes least makes room.

Decisions are made under one lock, which costs system calls. So a worker that is asked often for a
caller far from its limits draws a few calls at once, and spends them from memory; near a limit
each call is decided under the lock. Without the lock, which is where its holder seems stopped, the
counts may be a call or two off, and no cell changes its subject. Running calls need no lock to
end, since each worker writes its own column alone; when a worker dies its whole column is zeroed.
"""

import asyncio
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from meterway.kit.clock import Clock, SystemClock
from meterway.limits.draws import TENTH, Draw, end_of_tenth
from meterway.limits.lock import PATIENCE, Lock
from meterway.limits.types import SECOND, Bound, Mark, Measure, Refusal, Taken

CELLS = 65_536
LONGEST = 7200 * SECOND  # no call may shut its caller out for longer, however many tokens it took
_MAGIC = b"mwlimit1"
_HEAD = struct.Struct("@8sII")  # magic, cells, columns
_HEAD_SIZE = 64
_WAYS = 16  # cells per group
_CELL = struct.Struct("@QQQ")  # number, arrival times for requests and tokens; its row follows
_TIMES, _TIMES_AT, _ROW_AT = struct.Struct("@QQ"), 8, _CELL.size
_read, _write = _CELL.unpack_from, _TIMES.pack_into
_REMEMBERED = 100_000  # cells a worker remembers
_EARLY = 3_000_000  # nanoseconds before the end of a tenth of a second in which it is settled
_CLOCK = SystemClock()
_NOWHERE = 0  # as the place of a cell, a place being where in the file it begins


def _size(columns: int) -> int:
    """Return the bytes of a cell, a multiple of 8."""
    return _CELL.size + -(-columns // 4) * 8


def create(path: Path, columns: int, cells: int = CELLS) -> None:
    """Make the file for `columns` workers; `cells` is a multiple of 16.

    It is written in full, so that no worker meets a full disk later. Raises `OSError`.
    """
    size = _HEAD_SIZE + cells * _size(columns)
    with path.open("xb") as file:
        file.write(_HEAD.pack(_MAGIC, cells, columns).ljust(size, b"\0"))


class SharedCounts:
    """The counts of a machine, for the worker that counts its running calls in `column`.

    Open it in the process that uses it: one that inherits it would share its lock. The column is
    zeroed, since who had it before is dead; a process that only calls `forget` has none. `clock`
    tells how long ago `now` was said. Raises `OSError`, and `ValueError` for a file that `create`
    did not make.
    """

    def __init__(
        self,
        path: Path,
        column: int | None,
        *,
        patience: int = PATIENCE,
        clock: Clock = _CLOCK,
    ) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._file, 0)
        magic, cells, self._columns = _HEAD.unpack_from(self._map)
        if magic != _MAGIC:
            raise ValueError(f"{path.name} holds no counts.")
        self._cells: int = cells
        self._size = _size(self._columns)
        self._row = struct.Struct(f"@{self._columns}H").unpack_from
        self._halves = memoryview(self._map).cast("H")
        self._places: dict[int, int] = {}
        self._due: dict[int, tuple[Sequence[Bound], int]] = {}  # tokens not counted yet, likewise
        self._draws: dict[int, Draw] = {}  # of who asked in this tenth, by the bounds' identity
        self._last = 0
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._reckoned: Callable[[], int] = int  # `now` while the timer runs, else 0
        self._lock = Lock(self._file, patience=patience, alone=self._columns == 1)
        self._mine = (_CELL.size >> 1) + (column or 0)  # where in a cell, in halves of a word
        if column is not None:
            self.forget(column)

    def close(self) -> None:
        """Count what is due, and let go of the file."""
        self.flush()
        self._halves.release()
        self._map.close()
        os.close(self._file)

    def forget(self, column: int) -> None:
        """Count nothing as running in `column`; to be called when its worker is dead."""
        first = (_HEAD_SIZE + _CELL.size >> 1) + column
        self._halves[first :: self._size >> 1] = memoryview(bytes(2 * self._cells)).cast("H")

    async def take(self, bounds: Sequence[Bound], tokens: int, now: int) -> Taken:
        """Count a request of `tokens` tokens against all of `bounds`, or against none."""
        return self.at_once(bounds, tokens, now)

    def at_once(self, bounds: Sequence[Bound], tokens: int, now: int) -> Taken:
        """Do the same without waiting, as it always can.

        Draws are kept by the identity of `bounds`, so hand in the same object for the same caller.
        """
        draw = self._draws.get(id(bounds))
        if draw is not None and draw.left and tokens <= draw.tokens and now <= draw.ends:
            return draw.spend(tokens, now)
        held = self._lock.enter()
        try:
            return self._ask(bounds, tokens, now, held)
        finally:
            if held:
                self._lock.leave()

    def charge(self, bounds: Sequence[Bound], tokens: int, now: Callable[[], int]) -> None:
        """Count `tokens` more, or where negative fewer, whether they are allowed or not.

        It is done under the lock before this worker's next decision there, or in a tenth of a
        second. Needs a running event loop.
        """
        known = self._due.get(id(bounds))
        self._due[id(bounds)] = (bounds, tokens if known is None else known[1] + tokens)
        if self._timer is None:
            self._settle_soon(now())

    def flush(self) -> None:
        """Settle, at the time it must be by now."""
        self.settle(max(self._last, self._reckoned()))

    def settle(self, now: int) -> None:
        """Count what is due, and give back what was drawn and not spent."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._reckoned = None, int
        if self._due or any(draw.idle for draw in self._draws.values()):
            held = self._lock.enter()
            try:
                self._correct(now, held)
                for draw in self._draws.values():
                    self._give_back(draw, now, held)
            finally:
                if held:
                    self._lock.leave()
        self._draws.clear()

    def give(self, taken: Taken) -> None:
        """Count the call of `taken` as running no longer, at the latest in a tenth of a second."""
        if taken.lender is not None and taken.lender.keep():
            return
        halves = self._halves
        for count in taken.places:
            if halves[count]:  # else its column was zeroed meanwhile
                halves[count] -= 1

    def _settle_soon(self, now: int) -> None:
        """Have everything settled shortly before this tenth of a second ends, or the next."""
        self._last = now
        if self._timer is not None:
            return
        wait = end_of_tenth(now) - now - _EARLY
        self._reckoned = partial(_since, self._clock.monotonic(), self._clock, now)
        seconds = (wait if wait > 0 else wait + TENTH) / SECOND
        self._timer = asyncio.get_running_loop().call_later(seconds, self.flush)

    # -- drawing -------------------------------------------------------------------------------

    def _ask(self, bounds: Sequence[Bound], tokens: int, now: int, held: bool) -> Taken:  # noqa: FBT001 - private
        """Decide from the shared counts; draw for the next calls where this is the second."""
        draw = self._draws.get(id(bounds))
        if self._due:
            self._correct(now, held)
        if draw is not None:
            self._give_back(draw, now, held)
        taken = self._decide(bounds, tokens, now, held)
        if taken.refused is not None:
            number = taken.refused.bound.figures[0]
            others = [draw for draw in self._draws.values() if draw.idle and draw.touches(number)]
            for other in others:
                self._give_back(other, now, held)
            return self._decide(bounds, tokens, now, held) if others else taken
        if held:
            self._draw(bounds, tokens, now, taken, draw)
        return taken

    def _draw(
        self, bounds: Sequence[Bound], tokens: int, now: int, taken: Taken, draw: Draw | None
    ) -> None:
        """Draw where the caller asked in this tenth before, or note that it did; with the lock."""
        self._settle_soon(now)
        ends = end_of_tenth(now)
        if draw is None or draw.ends != ends:
            if len(self._draws) < _REMEMBERED:
                self._draws[id(bounds)] = Draw(bounds, ends)
        elif ends - now > _EARLY and len(taken.marks) == len(bounds):
            idle = self._idle(taken.marks)
            after = draw.fill(taken, tokens, now, self._columns, idle)
            for _, arrival, owed, place in after:
                _write(self._map, place + _TIMES_AT, arrival, owed)
            for count in draw.places if draw.left else ():
                self._halves[count] += draw.left

    def _idle(self, marks: Sequence[Mark]) -> int | None:
        """Return how many more calls all subjects let run while less than half do; None for any."""
        idle: int | None = None
        for bound, _, _, place in marks:
            if most := bound.figures[-1]:
                running = sum(self._row(self._map, place + _ROW_AT))
                left = most - running if 2 * running < most else 0
                idle = left if idle is None else min(idle, left)
        return idle

    def _give_back(self, draw: Draw, now: int, held: bool) -> None:  # noqa: FBT001 - private
        """Take what was not spent off the shared counts; without the lock its times lapse."""
        if draw.left and held:
            for bound, _, _, place in draw.marks:
                number, arrival, owed = _read(self._map, place)
                if number == bound.figures[0]:
                    requests, tokens = draw.unspent(bound, now)
                    _write(self._map, place + _TIMES_AT, arrival - requests, owed - tokens)
        for count in draw.places if draw.idle else ():
            self._halves[count] -= min(draw.idle, self._halves[count])  # less if zeroed meanwhile
        draw.empty()

    # -- deciding ------------------------------------------------------------------------------

    def _decide(self, bounds: Sequence[Bound], tokens: int, now: int, held: bool) -> Taken:  # noqa: C901, FBT001 - the hot path: each call and keyword costs
        """Look at everything first and write then, so that a refusal leaves no trace."""
        content, places = self._map, self._places
        marks: list[Mark] = []
        counts: list[int] = []
        for bound in bounds:
            number, request_step, request_room, token_step, token_room, most = bound.figures
            place = places.get(number, _NOWHERE)
            found, arrival, owed = _read(content, place)
            if found != number:
                place = self._find(number, now, held, marks)
                if place == _NOWHERE:
                    continue
                _, arrival, owed = _read(content, place)
            arrival = (arrival if arrival > now else now) + request_step  # noqa: FURB136 - thrice as fast as max
            if arrival - now > request_room:
                return self._refused(bounds, tokens, now)
            if token_step:
                owed = (owed if owed > now else now) + tokens * token_step  # noqa: FURB136 - same
                if owed - now > token_room:
                    if not _starts_debt(tokens * token_step, token_room, owed, now):
                        return self._refused(bounds, tokens, now)
                    owed = min(owed, now + LONGEST)
            if most:
                if sum(self._row(content, place + _ROW_AT)) >= most:
                    return self._refused(bounds, tokens, now)
                counts.append((place >> 1) + self._mine)
            marks.append((bound, arrival, owed, place))
        for _, arrival, owed, place in marks:
            _write(content, place + _TIMES_AT, arrival, owed)
        for count in counts:
            self._halves[count] += 1
        return Taken(now, marks, counts)

    def _refused(self, bounds: Sequence[Bound], tokens: int, now: int) -> Taken:
        """Say which limit holds longest, and where every subject stands that was looked at."""
        marks: list[Mark] = []
        reasons: list[Refusal] = []
        for bound in bounds:
            place = self._places.get(bound.figures[0], _NOWHERE)
            number, arrival, owed = _read(self._map, place)
            if number != bound.figures[0]:
                continue
            if max(arrival, owed) > now + LONGEST:  # nobody can have written that: it is broken
                arrival = owed = now
                _write(self._map, place + _TIMES_AT, arrival, owed)
            marks.append((bound, max(arrival, now), max(owed, now), place))
            running = sum(self._row(self._map, place + _ROW_AT))
            reasons += _reasons(marks[-1], running, tokens, now)
        worst = max(reasons, key=lambda reason: reason.wait, default=None)
        return Taken(now, marks, refused=worst)

    def _correct(self, now: int, held: bool) -> None:  # noqa: FBT001 - private
        """Count what is due; with the lock."""
        for bound, tokens in _by_subject(self._due.values()):
            number, _, _, token_step, _, _ = bound.figures
            place = self._places.get(number, _NOWHERE)
            found, arrival, owed = _read(self._map, place)
            if found != number:
                place = self._find(number, now, held, ())
                if place == _NOWHERE:
                    continue
                _, arrival, owed = _read(self._map, place)
            cost = tokens * token_step
            owed = max(owed, now) + cost if cost > 0 else max(owed + cost, 0)
            _write(self._map, place + _TIMES_AT, arrival, min(owed, now + LONGEST))
        self._due.clear()

    # -- finding -------------------------------------------------------------------------------

    def _find(self, number: int, now: int, held: bool, marks: Sequence[Mark]) -> int:  # noqa: FBT001 - private
        """Return the place of a subject, giving it one where it has none; `_NOWHERE` without.

        The places of `marks` are about to be written, and given to nobody.
        """
        first = _HEAD_SIZE + number % (self._cells // _WAYS) * _WAYS * self._size
        group = range(first, first + _WAYS * self._size, self._size)
        for place in group:
            if _read(self._map, place)[0] == number:
                break
        else:
            place = self._vacated(group, now, marks) if held else _NOWHERE
            if place == _NOWHERE:
                return _NOWHERE
            _CELL.pack_into(self._map, place, number, 0, 0)
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        self._places[number] = place
        return place

    def _vacated(self, group: range, now: int, marks: Sequence[Mark]) -> int:
        """Return the place of the group that may be had: an empty one, or what owes least.

        One where a call runs may not. Where there are such alone the newcomer is not counted:
        better that than to shut it out.
        """
        best, least = _NOWHERE, 0
        kept = [mark[3] for mark in marks]
        for place in group:
            number, arrival, owed = _read(self._map, place)
            if place in kept or any(self._row(self._map, place + _ROW_AT)):
                continue
            last = max(arrival, owed)
            if not number or last <= now:
                return place
            if best == _NOWHERE or last < least:
                best, least = place, last
        return best


def _by_subject(due: Iterable[tuple[Sequence[Bound], int]]) -> Iterable[tuple[Bound, int]]:
    """Return how many tokens are due of each subject whose tokens are limited."""
    found: dict[int, tuple[Bound, int]] = {}
    for bounds, tokens in due:
        for bound in bounds:
            number, _, _, token_step, _, _ = bound.figures
            if token_step:
                known = found.get(number)
                found[number] = (bound, tokens if known is None else known[1] + tokens)
    return found.values()


def _since(began: float, clock: Clock, now: int) -> int:
    """Return what `now` has become since it was `began` on the clock."""
    return now + int((clock.monotonic() - began) * SECOND)


def _starts_debt(cost: int, room: int, owed: int, now: int) -> bool:
    """Say whether a call wants more than a whole period's tokens while nothing else is owed."""
    return cost > room and owed - cost <= now


def _reasons(mark: Mark, running: int, tokens: int, now: int) -> list[Refusal]:
    """List what keeps a call with `tokens` tokens from being admitted."""
    bound, arrival, owed, _ = mark
    _, request_step, request_room, token_step, token_room, most = bound.figures
    reasons = []
    requests = arrival + request_step - now - request_room
    if requests > 0:
        reasons.append(Refusal(bound, Measure.REQUESTS, requests))
    spent = owed - now + min(tokens * token_step, token_room) - token_room
    if spent > 0:
        reasons.append(Refusal(bound, Measure.TOKENS, spent))
    if most and running >= most:
        reasons.append(Refusal(bound, Measure.CONCURRENCY, 0))
    return reasons
