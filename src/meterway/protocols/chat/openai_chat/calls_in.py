"""Tool calls of a stream, from the pieces servers send them in.

OpenAI tells index, id and name first, then pieces of arguments under the same index. Others leave
the index or the id out, repeat id and name in every piece, split the name, give every call index
0, or send a whole call at once; older ones send `function_call`. A call is told once its name is
whole: at its first piece of arguments, or when something else follows.
"""

from collections.abc import Callable

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.reply_in import call_id

_decode_call = msgspec.json.Decoder(wire.ToolCall).decode
_FUNCTION_CALL = -1


class _Call:
    """One call as far as it was told; `part` is None until then."""

    __slots__ = ("first", "id", "name", "part", "pieces", "signature")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.name = ""
        self.part: int | None = None
        self.first = ""
        self.pieces = 0
        self.signature: str | None = None


class CallReader:
    """Sorts the pieces of one choice's calls; `next_part` gives each the part it opens."""

    def __init__(
        self, choice: int, reply_id: str, next_part: Callable[[list[neutral.Event]], int]
    ) -> None:
        self._choice = choice
        self._reply_id = reply_id
        self._next_part = next_part
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._waiting: _Call | None = None

    @property
    def seen(self) -> bool:
        """Whether the choice called any tool."""
        return bool(self._calls)

    def take(self, delta: wire.Content, events: list[neutral.Event]) -> None:
        """Add the events of a delta's pieces."""
        for raw in delta.tool_calls or ():
            piece = _decode_call(raw)
            if piece.function is not None:
                call = self._call_of(piece, events)
                call.signature = call.signature or wire.signature_of(piece)
                self._take(call, piece.function, events)
        if delta.function_call is not None:
            piece = wire.ToolCall(index=_FUNCTION_CALL)
            self._take(self._call_of(piece, events), delta.function_call, events)

    def flush(self, events: list[neutral.Event]) -> None:
        """Tell the call that waits for the rest of its name."""
        if self._waiting is not None:
            self._tell(self._waiting, events)

    def _call_of(self, piece: wire.ToolCall, events: list[neutral.Event]) -> _Call:
        call = self._known(piece)
        if call is None:
            self.flush(events)
            call = _Call(piece.id or "")
            self._calls.append(call)
            self._waiting = call
            if piece.index is not None:
                self._by_index[piece.index] = call
        elif piece.id and not call.id and call.part is None:
            call.id = piece.id
        return call

    def _known(self, piece: wire.ToolCall) -> _Call | None:
        """Return the call that `piece` continues, None where it begins another."""
        name = piece.function.name if piece.function else None
        if piece.index is not None:
            call = self._by_index.get(piece.index)
        elif piece.id:
            return next((call for call in self._calls if call.id == piece.id), None)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or (name and _is_another(call, name, piece.id)):
            return None
        return call

    def _take(self, call: _Call, function: wire.Function, events: list[neutral.Event]) -> None:
        if function.name and call.part is None and function.name != call.name:
            call.name += function.name
        arguments = wire.arguments_text(function.arguments)
        if not arguments:
            return
        call.first = call.first or arguments
        call.pieces += 1
        part = self._tell(call, events)
        events.append(neutral.ToolCallDelta(arguments=arguments, choice=self._choice, part=part))

    def _tell(self, call: _Call, events: list[neutral.Event]) -> int:
        if call.part is None:
            self._waiting = None
            call.part = self._next_part(events)
            call.id = call.id or call_id(self._reply_id, self._calls.index(call))
            events.append(
                neutral.ToolCallOpened(
                    id=call.id,
                    name=call.name,
                    signature=call.signature,
                    choice=self._choice,
                    part=call.part,
                )
            )
        return call.part


def _is_another(call: _Call, name: str, id_: str | None) -> bool:
    """Whether a named piece begins another call than `call`, under the same index."""
    if id_ and call.id:
        return id_ != call.id
    if call.pieces == 0:
        return False
    return name != call.name or (call.pieces == 1 and _is_whole(call.first))


def _is_whole(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
