"""A client's input, read into system texts and turns.

Leading system and developer messages join `instructions` as the system prompt; later ones stay
where they stand. What the model said, thought and called without an interruption is one turn;
results of tools that follow each other, and the user message behind them, are another. Follows
https://platform.openai.com/docs/api-reference/responses/create (`input`).
"""

from typing import Any, TypeVar

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_family import decode_at, refused, required, wording_at
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.items_out import wrapped
from meterway.protocols.chat.openai_responses.names import ToolNames
from meterway.protocols.chat.openai_responses.parts_in import decode_content
from meterway.protocols.chat.openai_responses.reasoning import Thought, thoughts_of

T = TypeVar("T")
_Input: Any = str | list[wire.Item]
_USER, _ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
_ROLES = "'user', 'assistant', 'system' and 'developer'"
_SAID = frozenset(  # by the model, or by its vendor for it
    {
        "web_search_call", "file_search_call", "computer_call", "code_interpreter_call",
        "image_generation_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_call",
        "mcp_list_tools", "mcp_approval_request", "tool_search_call", "tool_search_output",
        "compaction", "program", "program_output",
    }
)  # fmt: skip
_ANSWERED = frozenset(  # by the client
    {
        "computer_call_output", "local_shell_call_output", "shell_call_output",
        "apply_patch_call_output", "mcp_approval_response", "additional_tools",
        "configuration_update", "compaction_trigger",
    }
)  # fmt: skip
Read = tuple[tuple[neutral.Text, ...], tuple[neutral.Message, ...]]


def decode_input(body: RawObject, names: ToolNames) -> Read:
    """Return the system prompt and the turns. Raises `InvalidRequestError`."""
    system: list[neutral.Text] = []
    if wire.given(instructions := body.get("instructions", wire.NULL)):
        system.append(
            neutral.Text(text=wording_at(instructions, "instructions"), path="instructions")
        )
    if not wire.given(body.get("input", wire.NULL)):  # the API takes a request that says nothing
        silence = neutral.Text(text="", path="input")
        return tuple(system), (neutral.Message(role=_USER, parts=(silence,), path="input"),)
    told: str | list[wire.Item] = decode_at(body["input"], _Input, "input")
    if isinstance(told, str):
        text = neutral.Text(text=told, path="input")
        return tuple(system), (neutral.Message(role=_USER, parts=(text,), path="input"),)
    reader = _Reader(body["input"], names, system)
    for place, item in enumerate(told):
        reader.take(item, place)
    if not reader.turns and not system:
        raise refused("input", "empty array. Expected an array with minimum length 1.")
    return tuple(system), tuple(turn.message() for turn in reader.turns)


class _Turn:
    """A turn in the making."""

    def __init__(self, role: neutral.Role, path: str) -> None:
        self.role = role
        self.path = path
        self.parts: list[neutral.AnyPart] = []
        self.results = False  # whether it holds results of tools, which a user's words may follow

    def message(self) -> neutral.Message:
        return neutral.Message(role=self.role, parts=tuple(self.parts), path=self.path)


class _Reader:
    """Goes through the items once, knowing what came before."""

    def __init__(self, raw: msgspec.Raw, names: ToolNames, system: list[neutral.Text]) -> None:
        self.turns: list[_Turn] = []
        self._raw = raw
        self._names = names
        self._system = system
        self._signatures: dict[str, str] = {}  # of tool calls, by their ids

    def take(self, item: wire.Item, place: int) -> None:
        path = f"input[{place}]"
        match item.type or ("message" if item.role or item.id is None else "item_reference"):
            case "message":
                self._take_message(item, path)
            case "reasoning":
                self._take_reasoning(item, path)
            case "function_call" | "custom_tool_call":
                self._said(path).append(self._call(item, path))
            case "function_call_output" | "custom_tool_call_output":
                self._take_result(item, path)
            case "item_reference":
                raise refused(f"{path}.id", "no item of this id is kept; send the item itself.")
            case kind if kind in _SAID:
                self._said(path).append(self._foreign(kind, place, path))
            case kind if kind in _ANSWERED:
                turn = self._turn(_USER, path)
                turn.parts.append(self._foreign(kind, place, path))
            case kind:
                raise refused(f"{path}.type", f"'{kind}' is no type of item that is known here.")

    def _take_message(self, item: wire.Item, path: str) -> None:
        if not wire.given(item.content):
            raise required(f"{path}.content")
        parts = decode_content(item.content, f"{path}.content")
        match item.role:
            case "user":
                if not parts:
                    raise refused(f"{path}.content", "empty array. Expected at least one part.")
                last = self.turns[-1] if self.turns else None
                turn = last if last is not None and last.results else self._turn(_USER, path)
                turn.parts += parts
                turn.results = False
            case "assistant":
                self._said(path).extend(parts)
            case "system" | "developer":
                self._take_system(parts, path)
            case None:
                raise required(f"{path}.role")
            case role:
                raise refused(f"{path}.role", f"'{role}' is no role; supported are {_ROLES}.")

    def _take_system(self, parts: list[neutral.AnyPart], path: str) -> None:
        texts: list[neutral.Text] = []
        for part in parts:
            if not isinstance(part, neutral.Text):
                raise refused(part.path, "only text is allowed here.")
            texts.append(part)
        if self.turns:
            self._turn(neutral.Role.SYSTEM, path).parts += texts
        else:
            self._system += texts

    def _take_reasoning(self, item: wire.Item, path: str) -> None:
        thought: Thought = thoughts_of(item, path)
        if thought.part is not None:
            self._said(path).append(thought.part)
        self._signatures.update(thought.signatures)

    def _call(self, item: wire.Item, path: str) -> neutral.ToolCall:
        call_id = _needed(item.call_id, f"{path}.call_id")
        name = self._names.flat(item.namespace, _needed(item.name, f"{path}.name"))
        if item.type == "custom_tool_call":
            arguments = wrapped(_text(item.input, f"{path}.input"))
        else:
            arguments = _text(item.arguments, f"{path}.arguments")
        return neutral.ToolCall(
            id=call_id,
            name=name,
            arguments=arguments,
            signature=self._signatures.pop(call_id, None),
            path=path,
        )

    def _take_result(self, item: wire.Item, path: str) -> None:
        call_id = _needed(item.call_id, f"{path}.call_id")
        if not wire.given(item.output):
            raise required(f"{path}.output")
        content: list[neutral.Text | neutral.Image | neutral.Document] = []
        for part in decode_content(item.output, f"{path}.output"):
            if not isinstance(part, neutral.Text | neutral.Image | neutral.Document):
                raise refused(part.path, "a tool's output may hold text, images and files.")
            content.append(part)
        last = self.turns[-1] if self.turns else None
        turn = last if last is not None and last.results else self._turn(_USER, path)
        turn.results = True
        turn.parts.append(neutral.ToolResult(call_id=call_id, content=tuple(content), path=path))

    def _foreign(self, kind: str, place: int, path: str) -> neutral.Foreign:
        raw = decode_at(self._raw, list[msgspec.Raw], "input")[place]
        return neutral.Foreign(kind=kind, raw=raw, path=path)

    def _said(self, path: str) -> list[neutral.AnyPart]:
        """Return the parts of the model's turn that is going on, or begins here."""
        if self.turns and self.turns[-1].role is _ASSISTANT:
            return self.turns[-1].parts
        return self._turn(_ASSISTANT, path).parts

    def _turn(self, role: neutral.Role, path: str) -> _Turn:
        turn = _Turn(role, path)
        self.turns.append(turn)
        return turn


def _text(raw: msgspec.Raw, path: str) -> str:
    if not wire.given(raw):
        raise required(path)
    return decode_at(raw, str, path)


def _needed(value: T | None, path: str) -> T:
    if value is None:
        raise required(path)
    return value
