"""A client's messages, read into system texts and turns.

Leading system and developer messages become the system prompt; later ones stay where they stand.
Tool messages that follow each other, and the nameless user message behind them, are one user
turn with the results first.
"""

from typing import Any

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.parts_in import cache_mark, decode_content, decode_texts
from meterway.protocols.chat.openai_chat.reasoning import (
    decode_reasoning,
    details_of,
    text_of,
)
from meterway.protocols.chat.openai_family import decode_at, refused, required

_NO_TEXT = msgspec.Raw(b'""')
_Calls: Any = list[wire.ToolCall] | None
_USER = neutral.Role.USER
_ROLES = "'system', 'developer', 'user', 'assistant', 'tool' and 'function'"


def decode_messages(
    body: RawObject,
) -> tuple[tuple[neutral.Text, ...], tuple[neutral.Message, ...]]:
    """Return the system prompt and the turns. Raises `InvalidRequestError`."""
    if "messages" not in body:
        raise required("messages")
    messages = decode_at(body["messages"], list[wire.Message], "messages")
    if not messages:
        raise refused("messages", "empty array. Expected an array with minimum length 1.")
    reader = _Reader()
    for place, message in enumerate(messages):
        reader.take(message, f"messages[{place}]")
    return tuple(reader.system), tuple(reader.turns)


class _Reader:
    """Goes through the messages once, knowing what came before."""

    def __init__(self) -> None:
        self.system: list[neutral.Text] = []
        self.turns: list[neutral.Message] = []
        self._called: dict[str, str] = {}  # the last call's id by function name

    def take(self, message: wire.Message, path: str) -> None:
        match message.role:
            case "system" | "developer":
                self._take_system(message, path)
            case "user":
                self._take_user(message, path)
            case "assistant":
                self._take_assistant(message, path)
            case "tool":
                if message.tool_call_id is None:
                    raise required(f"{path}.tool_call_id")
                self._take_result(message, message.tool_call_id, path)
            case "function":
                if message.name is None:
                    raise required(f"{path}.name")
                if message.name not in self._called:
                    raise refused(f"{path}.name", "no assistant message calls this function.")
                self._take_result(message, self._called[message.name], path)
            case role:
                problem = f"'{role}' is not a role; supported are {_ROLES}."
                raise refused(f"{path}.role", problem)

    def _take_system(self, message: wire.Message, path: str) -> None:
        if not wire.given(message.content):
            raise required(f"{path}.content")
        mark = cache_mark(message.cache_control)
        texts = decode_texts(message.content, f"{path}.content", mark)
        if self.turns:
            self._add(neutral.Role.SYSTEM, texts, message, path)
        else:
            self.system += texts

    def _take_user(self, message: wire.Message, path: str) -> None:
        if not wire.given(message.content):
            raise required(f"{path}.content")
        mark = cache_mark(message.cache_control)
        parts = decode_content(message.content, f"{path}.content", mark)
        if not parts:
            raise refused(f"{path}.content", "empty array. Expected at least one part.")
        if message.name is None and self._ends_with_results():
            last = self.turns[-1]
            self.turns[-1] = msgspec.structs.replace(last, parts=last.parts + parts)
        else:
            self._add(_USER, parts, message, path)

    def _take_result(self, message: wire.Message, call_id: str, path: str) -> None:
        content: list[neutral.Text | neutral.Image | neutral.Document] = []
        for part in decode_content(message.content, f"{path}.content"):
            if not isinstance(part, neutral.Text | neutral.Image | neutral.Document):
                raise refused(part.path, "a tool's result may hold text, images and files.")
            content.append(part)
        mark = cache_mark(message.cache_control)
        result = neutral.ToolResult(call_id=call_id, content=tuple(content), path=path, cache=mark)
        if self._ends_with_results():
            last = self.turns[-1]
            self.turns[-1] = msgspec.structs.replace(last, parts=(*last.parts, result))
        else:
            self.turns.append(neutral.Message(role=_USER, parts=(result,), path=path))

    def _take_assistant(self, message: wire.Message, path: str) -> None:
        parts: list[neutral.AnyPart] = list(
            decode_reasoning(
                text_of(message.reasoning_content, message.reasoning),
                details_of(message.reasoning_details),
                path,
            )
        )
        mark = cache_mark(message.cache_control)
        if message.content != _NO_TEXT:
            parts += decode_content(message.content, f"{path}.content", mark)
        if message.refusal:
            parts.append(neutral.Refusal(text=message.refusal, path=f"{path}.refusal"))
        if wire.given(message.audio):
            where = f"{path}.audio"
            parts.append(neutral.Foreign(kind="audio", raw=message.audio, path=where))
        parts += self._calls(message, path)
        self._add(neutral.Role.ASSISTANT, tuple(parts), message, path)

    def _calls(self, message: wire.Message, path: str) -> list[neutral.AnyPart]:
        calls: list[neutral.AnyPart] = []
        if message.tool_calls is not wire.NULL:
            calls += self._tool_calls(message.tool_calls, f"{path}.tool_calls")
        if message.function_call is not None:
            id_ = f"call_{path.removeprefix('messages[').removesuffix(']')}"
            calls.append(self._function(message.function_call, id_, f"{path}.function_call"))
        return calls

    def _tool_calls(self, raw: msgspec.Raw, path: str) -> list[neutral.AnyPart]:
        calls: list[neutral.AnyPart] = []
        listed: list[wire.ToolCall] | None = decode_at(raw, _Calls, path)
        for place, call in enumerate(listed or ()):
            where = f"{path}[{place}]"
            if call.type in {None, "function"}:
                calls.append(self._call(call, where))
            else:
                foreign = decode_at(raw, list[msgspec.Raw], path)[place]
                kind = f"{call.type} tool call"
                calls.append(neutral.Foreign(kind=kind, raw=foreign, path=where))
        return calls

    def _call(self, call: wire.ToolCall, path: str) -> neutral.ToolCall:
        if call.id is None:
            raise required(f"{path}.id")
        if call.function is None:
            raise required(f"{path}.function")
        function = self._function(call.function, call.id, path)
        signature = wire.signature_of(call)
        if signature is None:
            return function
        return msgspec.structs.replace(function, signature=signature)

    def _function(self, function: wire.Function, id_: str, path: str) -> neutral.ToolCall:
        if function.name is None:
            raise required(f"{path}.function.name")
        self._called[function.name] = id_
        try:
            arguments = wire.arguments_text(function.arguments)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise refused(f"{path}.function.arguments", f"{error}.") from None
        return neutral.ToolCall(id=id_, name=function.name, arguments=arguments, path=path)

    def _ends_with_results(self) -> bool:
        if not self.turns or not self.turns[-1].parts:
            return False
        return isinstance(self.turns[-1].parts[-1], neutral.ToolResult)

    def _add(
        self,
        role: neutral.Role,
        parts: tuple[neutral.AnyPart, ...],
        message: wire.Message,
        path: str,
    ) -> None:
        self.turns.append(neutral.Message(role=role, parts=parts, name=message.name, path=path))
