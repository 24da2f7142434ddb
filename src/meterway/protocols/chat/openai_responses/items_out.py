"""The items of a response in the making: what each adds to the stream, and what it is at last.

Follows https://platform.openai.com/docs/api-reference/responses-streaming: an item is added empty,
grows by deltas, and is told once more as a whole when it is done.
"""

from typing import Any, TypeAlias

import msgspec

from meterway.kit import ids, json
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.names import Declared
from meterway.protocols.chat.openai_responses.tools_in import INPUT
from meterway.protocols.chat.wording import Wording

Wire: TypeAlias = dict[str, Any]
Told: TypeAlias = list[tuple[str, Wire]]
"""Events by type, with their fields but for those that say which item and in what order."""


class _Candidate(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[_Candidate] | None = None


class _Logprobs(msgspec.Struct):
    """OpenAI's logprobs object of chat completions, as the neutral form has it."""

    content: list[_Token] | None = None


class _Input(msgspec.Struct):
    input: str


_decode_logprobs = msgspec.json.Decoder(_Logprobs).decode
_decode_input = msgspec.json.Decoder(_Input).decode


class MessageItem:
    """What the model says: texts and refusals, each a part; `pieces` are those of the open one."""

    def __init__(self) -> None:
        self.id = ids.object_id("msg")
        self._parts: list[Wire] = []
        self.pieces: list[str] = []
        self._part: int | None = None  # the neutral part that is open

    @classmethod
    def of(cls, text: Wording) -> "MessageItem":
        """Return a message that says one text and is done."""
        item = cls()
        item._parts.append({"type": "output_text", "text": text, "annotations": []})
        return item

    @property
    def last(self) -> int:
        """The place of the part that was opened last."""
        return len(self._parts) - 1

    def whole(self, status: str) -> Wire:
        """Return the item as it is now."""
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": list(self._parts),
        }

    def say(self, part: int, text: str, logprobs: list[Wire] | None) -> Told:
        """Add visible text."""
        told = self._open(part, {"type": "output_text", "text": "", "annotations": []}, logprobs)
        self.pieces.append(text)
        fields = {"content_index": self.last, "delta": text, "logprobs": logprobs or []}
        told.append(("response.output_text.delta", fields))
        return told

    def refuse(self, part: int, text: str) -> Told:
        """Add a refusal's text."""
        told = self._open(part, {"type": "refusal", "refusal": ""}, None)
        self.pieces.append(text)
        fields = {"content_index": self.last, "delta": text}
        told.append(("response.refusal.delta", fields))
        return told

    def close(self) -> Told:
        """End the part that is open."""
        if self._part is None:
            return []
        self._part, text = None, "".join(self.pieces)
        part, place = self._parts[-1], self.last
        if part["type"] == "refusal":
            part["refusal"] = text
            kind, fields = "response.refusal.done", {"refusal": text}
        else:
            part["text"] = text
            kind = "response.output_text.done"
            fields = {"text": text, "logprobs": part.get("logprobs", [])}
        return [
            (kind, {"content_index": place, **fields}),
            ("response.content_part.done", {"content_index": place, "part": dict(part)}),
        ]

    def _open(self, ordinal: int, part: Wire, logprobs: list[Wire] | None) -> Told:
        told: Told = []
        if self._part != ordinal:
            told = self.close()
            self._part, self.pieces = ordinal, []
            self._parts.append(part)
            fields = {"content_index": self.last, "part": dict(part)}
            told.append(("response.content_part.added", fields))
        if logprobs:
            self._parts[-1].setdefault("logprobs", []).extend(logprobs)
        return told


class ReasoningItem:
    """What the model thinks: a summary in one part, and what only a vendor can read."""

    def __init__(self) -> None:
        self.id = ids.object_id("rs")
        self.encrypted: str | None = None
        self._pieces: list[str] = []
        self._is_open = False

    def whole(self, status: str) -> Wire:
        """Return the item as it is now; `encrypted_content` is in it where there is any."""
        del status  # a reasoning item is told without
        text = "".join(self._pieces)
        item: Wire = {
            "id": self.id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}] if text else [],
        }
        if self.encrypted is not None:
            item["encrypted_content"] = self.encrypted
        return item

    def think(self, text: str) -> Told:
        """Add a piece of the summary."""
        told: Told = []
        if not self._is_open:
            self._is_open = True
            part = {"type": "summary_text", "text": ""}
            fields = {"summary_index": 0, "part": part}
            told.append(("response.reasoning_summary_part.added", fields))
        self._pieces.append(text)
        fields = {"summary_index": 0, "delta": text}
        told.append(("response.reasoning_summary_text.delta", fields))
        return told

    def close(self) -> Told:
        """End the summary."""
        if not self._is_open:
            return []
        self._is_open, text = False, "".join(self._pieces)
        part = {"type": "summary_text", "text": text}
        return [
            ("response.reasoning_summary_text.done", {"summary_index": 0, "text": text}),
            ("response.reasoning_summary_part.done", {"summary_index": 0, "part": part}),
        ]


class CallItem:
    """A call of one of the client's tools, told as the tool was declared.

    A custom tool's input is inside the JSON a model writes: it is told once that is whole.
    """

    def __init__(self, call_id: str, tool: Declared) -> None:
        self.id = ids.object_id("ctc" if tool.kind == "custom" else "fc")
        self._call_id = call_id
        self._tool = tool
        self._pieces: list[str] = []
        self._is_open = True

    def whole(self, status: str) -> Wire:
        """Return the item as it is now; until it is closed its arguments are empty."""
        tool, said = self._tool, "" if self._is_open else "".join(self._pieces)
        item: Wire = {"id": self.id, "type": f"{tool.kind}_call", "status": status}
        item |= {"call_id": self._call_id, "name": tool.name}
        if tool.namespace is not None:
            item["namespace"] = tool.namespace
        if tool.kind == "custom":
            return {**item, "type": "custom_tool_call", "input": unwrapped(said)}
        return {**item, "arguments": said}

    def add(self, arguments: str) -> Told:
        """Add a piece of the arguments."""
        self._pieces.append(arguments)
        if self._tool.kind == "custom":
            return []
        return [("response.function_call_arguments.delta", {"delta": arguments})]

    def close(self) -> Told:
        """End the call."""
        if not self._is_open:
            return []
        self._is_open, said = False, "".join(self._pieces)
        if self._tool.kind == "custom":
            text = unwrapped(said)
            delta = [("response.custom_tool_call_input.delta", {"delta": text})] if text else []
            return [*delta, ("response.custom_tool_call_input.done", {"input": text})]
        return [("response.function_call_arguments.done", {"arguments": said})]


Item: TypeAlias = MessageItem | ReasoningItem | CallItem


def unwrapped(arguments: str) -> str:
    """Return a custom tool's input; what a model wrote without its JSON is the input itself."""
    try:
        return _decode_input(arguments).input
    except (msgspec.MsgspecError, RecursionError):
        return arguments


def wrapped(said: str) -> str:
    """Return a custom tool's input as the arguments of its function."""
    return json.encode({INPUT: said}).decode()


def logprobs_of(raw: msgspec.Raw | None) -> list[Wire] | None:
    """Return the logprobs of visible tokens; what is no such object tells nothing."""
    if raw is None:
        return None
    try:
        tokens = _decode_logprobs(raw).content
    except wire.UNREADABLE:
        return None
    return [_token(token) for token in tokens or ()] or None


def _token(token: _Token) -> Wire:
    return {
        **_candidate(token),
        "top_logprobs": [_candidate(one) for one in token.top_logprobs or ()],
    }


def _candidate(one: _Token | _Candidate) -> Wire:
    told = one.token.encode() if one.bytes is None else one.bytes
    return {"token": one.token, "bytes": list(told), "logprob": one.logprob}
