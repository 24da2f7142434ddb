"""Identifiers: time-ordered call ids, request ids, and random names."""

import os
import re
import secrets
import string
import time
from collections.abc import Callable

_ALPHANUMERIC = string.ascii_letters + string.digits
_EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_DAY_MS = 86_400_000
_NODE_BITS, _SEQUENCE_BITS = 10, 12
_SEQUENCE_LIMIT = 1 << _SEQUENCE_BITS
_LARGEST = (1 << 63) - 1  # what a row's id can be
_DIGITS, _AT_ONCE = 48, 64
_PARTS = 16**3  # of a second, in names that bear their date
_REQUEST_ID = re.compile(r"req_([0-9a-f]{16})")


def random_text(length: int) -> str:
    """Return `length` letters and digits of ASCII, chosen by a cryptographic source."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def object_id(prefix: str, joint: str = "_") -> str:
    """Return a name nobody can guess: `prefix`, `joint` and 48 hex digits."""
    return f"{prefix}{joint}{_digits()}"


def dated_id(prefix: str, at: float) -> str:
    """Return a name like `object_id`'s whose first eleven digits are `at`, in seconds / 4,096.

    Names of one time lie side by side in an index, so that keeping others changes few pages:
    those of one second are so many that each of them would change another one.
    """
    return f"{prefix}_{int(at * _PARTS):011x}{_digits()[:37]}"


def _digits() -> str:
    """Return 48 hex digits nobody can guess.

    Many are drawn at once: asking the system costs more than all else about a name.
    """
    try:
        return _drawn.pop()  # by one thread alone
    except IndexError:
        some = secrets.token_hex(_DIGITS // 2 * _AT_ONCE)
        _drawn.extend(some[i : i + _DIGITS] for i in range(_DIGITS, len(some), _DIGITS))
        return some[:_DIGITS]


_drawn: list[str] = []
os.register_at_fork(after_in_child=_drawn.clear)  # or two processes would give one name


class CallIds:
    """Makes time-ordered 64-bit call ids: 41 bits of milliseconds, 10 of node, 12 of sequence.

    One maker per process; two processes of one installation need different nodes. The ids of
    one maker strictly increase, also when the clock goes back or 4,096 fall in a millisecond.
    A process that starts after the clock went back could repeat what its predecessor made: `move`
    gives it a node of its own before anything is kept under its ids. `clock` tells nanoseconds
    since the epoch.
    """

    def __init__(self, node: int, clock: Callable[[], int] = time.time_ns) -> None:
        if not 0 <= node < 1 << _NODE_BITS:
            message = f"node must be between 0 and {(1 << _NODE_BITS) - 1}, not {node}"
            raise ValueError(message)
        self._clock = clock
        self._node = node << _SEQUENCE_BITS
        self._last_ms = 0
        self._sequence = 0

    def move(self, number: int) -> None:
        """Go on at the node of a number that nobody else was given; it repeats after 1,024."""
        self._node = number % (1 << _NODE_BITS) << _SEQUENCE_BITS
        self._last_ms, self._sequence = self._last_ms + 1, -1  # the new node may be the lesser

    def next(self) -> int:
        """Return the next id of this process."""
        now_ms = self._clock() // 1_000_000 - _EPOCH_MS
        if now_ms > self._last_ms:
            self._last_ms, self._sequence = now_ms, 0
        else:
            self._sequence += 1
            if self._sequence == _SEQUENCE_LIMIT:
                self._last_ms, self._sequence = self._last_ms + 1, 0
        return (self._last_ms << (_NODE_BITS + _SEQUENCE_BITS)) | self._node | self._sequence


def call_id_of(text: str) -> int | None:
    """Return the call id of its public form, or of its digits; None where it is neither."""
    found = _REQUEST_ID.fullmatch(text)
    if found is not None:
        number = int(found[1], 16)
    elif text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST)):
        number = int(text)
    else:
        return None
    return number if number <= _LARGEST else None


def request_id(call_id: int) -> str:
    """Return the public form of a call id: `req_` and sixteen hex digits."""
    return f"req_{call_id:016x}"


def first_id(at: float) -> int:
    """Return the least call id of a moment, in seconds since the epoch, or later."""
    least = max(0, round(at * 1000) - _EPOCH_MS) << (_NODE_BITS + _SEQUENCE_BITS)
    return min(least, _LARGEST)  # after the year 2094 there are none


def moment(call_id: int) -> float:
    """Return when a call id was made, in seconds since the epoch, to the millisecond."""
    return ((call_id >> (_NODE_BITS + _SEQUENCE_BITS)) + _EPOCH_MS) / 1000


def day(call_id: int) -> int:
    """Return the UTC day a call id was made on, in whole days since the epoch."""
    return ((call_id >> (_NODE_BITS + _SEQUENCE_BITS)) + _EPOCH_MS) // _DAY_MS
