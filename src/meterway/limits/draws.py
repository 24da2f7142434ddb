"""What a worker may spend without asking: a few calls, drawn from the shared counts while far off.

Draws are dated to the end of the tenth of a second they are made in, for all workers alike, and
are spent by then. So a drawn call is counted no earlier than it comes, and what comes meanwhile
finds it counted: nobody ever gets more than under a lock for each call. And within that tenth no
count starts afresh from a later moment, so that what was not spent can be taken off again exactly.

Dating costs a caller who was idle what a tenth of a second renews, once. A large limit per minute
bears that, being a 600th of it; a small one is drawn from only where more than that is used.

Drawn calls count as running until they are given back, and those that end are kept for the next
draw, as many as a draw has. So no more run at once than may, but where several workers draw, a
caller that reaches its limit within a tenth of a second may be refused a 64th early. A limit that
does not bear that is not drawn from by several.
"""

from collections.abc import Sequence

from meterway.limits.types import SECOND, Bound, Mark, Taken, telling

TENTH = SECOND // 10
_FIRST, _GROWTH, _MOST = 8, 4, 128  # calls at once
_LARGE, _LONG = 6_000, 600 * TENTH  # what bears a tenth's dating: so many in so long
_SHARE, _AT_ONCE_SHARE = 8, 64  # of what is left all workers together draw one part of so many


def end_of_tenth(now: int) -> int:
    """Return the next full tenth of a second, in nanoseconds."""
    return now - now % TENTH + TENTH


class Draw:
    """What one caller's next calls may spend: `left` calls and `tokens` tokens until `ends`.

    `kept` calls ended and count as running still. It begins with nothing, as the note that its
    caller asked in this tenth of a second.
    """

    __slots__ = (
        "_calls",
        "_size",
        "_tells",
        "bounds",
        "ends",
        "kept",
        "left",
        "marks",
        "places",
        "tokens",
    )

    def __init__(self, bounds: Sequence[Bound], ends: int) -> None:
        self.bounds = bounds
        self.ends = ends
        self.left = self.kept = self.tokens = 0
        self.marks: Sequence[Mark] = ()
        self.places: Sequence[int] = ()
        self._tells: Sequence[Mark] = ()
        self._size = _FIRST
        self._calls = 0

    @property
    def idle(self) -> int:
        """How many calls that do not run are counted as running."""
        return self.left + self.kept

    def touches(self, number: int) -> bool:
        """Say whether the subject of this number is among those drawn from."""
        return any(bound.figures[0] == number for bound in self.bounds)

    def fill(
        self, taken: Taken, tokens: int, now: int, workers: int, idle: int | None
    ) -> Sequence[Mark]:
        """Draw for calls of about `tokens` tokens after one for which was `taken`; all is spent.

        `idle` is how many more calls may run at once, None for any number. Returns where that
        leaves the subjects: less than half used, and so far from their limits that all workers
        may draw as much. Returns nothing where they are closer.
        """
        marks, share = taken.marks, _SHARE * workers
        calls, budget = self._size, self._size * tokens
        if idle is not None:
            calls = min(calls, idle // (share if workers == 1 else _AT_ONCE_SHARE * workers))
        for bound, _, _, _ in marks:
            _, step, room, token_step, token_room, _ = bound.figures
            if step:
                calls = min(calls, room // step // share)
            if token_step:
                budget = min(budget, token_room // token_step // share)
        if calls < 2 or budget < tokens:  # noqa: PLR2004 - one alone saves nothing
            return ()
        after = []
        for mark in marks:
            ahead = _ahead(mark, calls, budget, self.ends, now)
            if ahead is None:
                return ()
            after.append(ahead)
        self._size = min(self._size * _GROWTH, _MOST)
        self.left, self.tokens, self._calls = calls, budget, calls
        self.marks, self.places = marks, taken.places
        self._tells = telling(marks, now)
        return after

    def spend(self, tokens: int, now: int) -> Taken:
        """Take a call off; it leaves the subjects that tell where this worker knows them to be."""
        self.left -= 1
        self.tokens -= tokens
        tells = []
        for bound, arrival, owed, place in self._tells:
            _, step, _, token_step, _, _ = bound.figures
            arrival = (arrival if arrival > now else now) + step  # noqa: FURB136, PLW2901 - thrice as fast as max
            if token_step:
                owed = (owed if owed > now else now) + tokens * token_step  # noqa: FURB136, PLW2901 - same
            tells.append((bound, arrival, owed, place))
        self._tells = tells
        return Taken(now, tells, self.places, None, self)

    def keep(self) -> bool:
        """Go on counting a call that ended as running, for the next; False with enough of them."""
        if self.left + self.kept >= self._calls:
            return False
        self.kept += 1
        return True

    def empty(self) -> None:
        """Have nothing any more."""
        self.left = self.kept = self._calls = 0

    def unspent(self, bound: Bound, now: int) -> tuple[int, int]:
        """Return by how many nanoseconds to set back the times of `bound` for what is left.

        Whoever drew in a later tenth may have counted from its end: that much stays.
        """
        _, step, _, token_step, _, _ = bound.figures
        later = max(end_of_tenth(now) - self.ends, 0)
        return max(self.left * step - later, 0), max(self.tokens * token_step - later, 0)


def _ahead(mark: Mark, calls: int, tokens: int, ends: int, now: int) -> Mark | None:
    """Return where a draw leaves a subject, or None where it may not be drawn from."""
    bound, arrival, owed, place = mark
    _, step, room, token_step, token_room, _ = bound.figures
    if step:
        arrival = _dated(arrival, ends, step, room) + calls * step
    if token_step:
        owed = _dated(owed, ends, token_step, token_room) + tokens * token_step
    if 2 * (arrival - now) > room or 2 * (owed - now) > token_room:
        return None
    return bound, arrival, owed, place


def _dated(time: int, ends: int, step: int, room: int) -> int:
    """Return from when a draw counts: the end of its tenth, or beyond all room where it may not."""
    if time >= ends:
        return time
    return ends if room >= _LARGE * step and room >= _LONG else ends + room
