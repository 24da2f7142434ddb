"""Counts in one file, mapped into the memory of every worker of a machine.

Layout: a head, then cells: the number of a subject, two arrival times, and a row of running calls
with a column per worker. A subject may lie in any of the cells of its group. Nothing grows: a cell
whose times are past and where nothing runs is as good as empty, and where a group has none the
cell that owes least makes room.

Decisions are made under one `flock`: the kernel frees it when its holder dies, and a whole
decision takes a few microseconds. A holder that was stopped in the middle would stop everybody,
so those who cannot get the lock for very long go on without it: until it is let go the counts may
be a call or two off, and no cell changes its subject. Running calls need no lock to end, since
each worker writes its own column alone; when a worker dies its whole column is zeroed.
"""

import asyncio
import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

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
_PATIENCE = 20_000  # tries at the lock before its holder counts as stopped: tens of milliseconds
_IMPATIENCE = 50  # tries while it does
_SOON = 0.05  # seconds; how late other workers may learn of a correction
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
    zeroed, since who had it before is dead; a process that only calls `forget` has none. Raises
    `OSError`, and `ValueError` for a file that `create` did not make.
    """

    def __init__(self, path: Path, column: int | None, *, patience: int = _PATIENCE) -> None:
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
        self._due: dict[int, tuple[Bound, int]] = {}  # corrections not counted yet
        self._last = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lock = partial(fcntl.flock, self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._unlock = partial(fcntl.flock, self._file, fcntl.LOCK_UN)
        self._patience = self._tries = patience
        self._mine = (_CELL.size >> 1) + (column or 0)  # where in a cell, in halves of a word
        if column is not None:
            self.forget(column)

    def close(self) -> None:
        """Count what is due, and let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
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
        held = self._enter()
        try:
            if self._due:
                self._correct(now, held)
            return self._decide(bounds, tokens, now, held)
        finally:
            if held:
                self._unlock()

    def charge(self, bounds: Sequence[Bound], tokens: int, now: int) -> None:
        """Count `tokens` more, or where negative fewer, whether they are allowed or not.

        It is done before this worker's next decision, which has the lock anyway, or in 50 ms.
        Needs a running event loop.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self.flush)
        self._last = now
        for bound in bounds:
            number = bound.figures[0]
            _, known = self._due.get(number, (bound, 0))
            self._due[number] = (bound, known + tokens)

    def flush(self) -> None:
        """Count what is due."""
        self._timer = None
        if not self._due:
            return
        held = self._enter()
        try:
            self._correct(self._last, held)
        finally:
            if held:
                self._unlock()

    def give(self, taken: Taken) -> None:
        """Count the call of `taken` as running no longer."""
        halves = self._halves
        for count in taken.places:
            if halves[count]:  # else its column was zeroed meanwhile
                halves[count] -= 1

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
        for bound, tokens in self._due.values():
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

    # -- the lock ------------------------------------------------------------------------------

    def _enter(self) -> bool:
        """Take the lock; False means that its holder seems stopped, and to go on without."""
        try:
            self._lock()
        except BlockingIOError:
            return self._queue()
        return True

    def _queue(self) -> bool:
        """Try again and again, letting others run; be impatient with a holder that seems stopped.

        Each holder keeps the lock for microseconds, so one that lives lets somebody in between.
        """
        for _ in range(self._tries):
            os.sched_yield()
            try:
                self._lock()
            except BlockingIOError:
                continue
            self._tries = self._patience
            return True
        self._tries = min(_IMPATIENCE, self._patience)
        return False


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
