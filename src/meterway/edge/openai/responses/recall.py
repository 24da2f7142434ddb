"""What was said on the sockets of a worker lately: histories that a response may continue.

A socket goes on from its own responses though they were made with `store: false`
(https://developers.openai.com/docs/guides/websocket-mode). What is forgotten here is
`previous_response_not_found`, upon which clients send the whole conversation again.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from meterway.edge.openai.responses.turns import Said

_EACH: Final = 4
_MOST: Final = 64 * 1024 * 1024


class Recall:
    """The last responses of each socket, `most` bytes in all; what was used least lately goes.

    Histories share what they have in common, and are counted as if they shared nothing.
    """

    def __init__(self, most: int = _MOST, each: int = _EACH) -> None:
        self._most = most
        self._each = each
        self._kept: OrderedDict[tuple[Hashable, str], Said] = OrderedDict()
        self._own: dict[Hashable, OrderedDict[str, None]] = {}
        self.held = 0

    def put(self, socket: Hashable, id_: str, history: Said) -> None:
        """Remember the history up to a response, it included, for one socket."""
        size = _size(history)
        if size > self._most:
            return
        own = self._own.setdefault(socket, OrderedDict())
        if len(own) >= self._each:
            self._forget(socket, next(iter(own)))
        self._kept[socket, id_] = history
        self._own.setdefault(socket, OrderedDict())[id_] = None
        self.held += size
        while self.held > self._most:
            self._forget(*next(iter(self._kept)))

    def get(self, socket: Hashable, id_: str) -> Said | None:
        """Return the history up to a response that was made on the same socket."""
        history = self._kept.get((socket, id_))
        if history is not None:
            self._kept.move_to_end((socket, id_))
        return history

    def drop(self, socket: Hashable) -> None:
        """Forget what was said on a socket."""
        for id_ in tuple(self._own.get(socket, ())):
            self._forget(socket, id_)

    def _forget(self, socket: Hashable, id_: str) -> None:
        self.held -= _size(self._kept.pop((socket, id_)))
        own = self._own[socket]
        del own[id_]
        if not own:
            del self._own[socket]


def _size(history: Said) -> int:
    return sum(map(len, history))
