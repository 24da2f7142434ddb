"""Request bodies, whole replies and stream frames of both dialects, the same in every run."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from meterway.bench.types import Dialect, Size

MARK = " ember"
"""The text of every stream chunk; nothing else on the wire has it, so counting it counts chunks."""

PATHS = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages"}

_SYLLABLES = (
    "ba",
    "cor",
    "den",
    "el",
    "fi",
    "gra",
    "hum",
    "is",
    "jo",
    "kel",
    "lum",
    "mi",
    "nor",
    "op",
    "ra",
    "set",
)
_TARGET_BYTES = {Size.SMALL: 512, Size.LARGE: 100_000}


def encode(value: object) -> bytes:
    """Return compact JSON."""
    encoded: bytes = msgspec.json.encode(value)
    return encoded


def text(size: int, seed: int) -> str:
    """Return `size` characters that look like source code; equal seeds give equal text."""
    chance = random.Random(seed)  # noqa: S311 - filler text, reproducible on purpose
    words: list[str] = []
    length = 0
    while length < size:
        word = "".join(chance.choices(_SYLLABLES, k=chance.randint(1, 3)))
        word += chance.choice((" ", " ", " ", "_", ".", "(x)\n", " = ", ", ", "\n    "))
        words.append(word)
        length += len(word)
    return "".join(words)[:size]


def request_body(dialect: Dialect, model: str, size: Size, *, stream: bool = False) -> bytes:
    """Return a chat request: a short question, or an agent's history with tools and results.

    Args:
        dialect: The shape of the body.
        model: Goes into `model`.
        size: About how many bytes.
        stream: Adds `"stream": true`.
    """
    head: dict[str, Any] = {"model": model, "max_tokens": 256}
    if stream:
        head["stream"] = True
    rest = _question(dialect) if size is Size.SMALL else _history(dialect)
    return encode(head | rest)


def response_body(model: str, *, store: bool) -> bytes:
    """Return a request of the Responses API whose items are a short question's messages."""
    items = _question(Dialect.OPENAI)["messages"]
    return encode({"model": model, "max_output_tokens": 256, "input": items, "store": store})


def count_body(model: str, last: str) -> bytes:
    """Return a 100 KB body for `count_tokens`: the agent's history and a `last` message."""
    history = _history(Dialect.ANTHROPIC)
    history["messages"] = [*history["messages"], {"role": "user", "content": last}]
    return encode({"model": model} | history)


def cold_count_body(model: str, seed: int) -> bytes:
    """Return a 100 KB body for `count_tokens` that shares no text with another seed's."""
    return encode({"model": model} | _history(Dialect.ANTHROPIC, seed=seed))


def whole_reply(dialect: Dialect, size: Size) -> bytes:
    """Return a whole chat reply of about `size`, usage included."""
    padding = {Size.SMALL: 180, Size.LARGE: 95_000}[size]
    return encode(_reply(dialect, text(padding, 7)))


def opening_frames(dialect: Dialect) -> bytes:
    """Return the events before the first chunk of text."""
    if dialect is Dialect.OPENAI:
        return _openai_event({"role": "assistant", "content": ""}, None)
    message = _reply(dialect, "") | {"content": [], "stop_reason": None}
    block = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    return _anthropic_event({"type": "message_start", "message": message}) + _anthropic_event(block)


def token_frame(dialect: Dialect) -> bytes:
    """Return the event that carries one `MARK` of text."""
    if dialect is Dialect.OPENAI:
        return _openai_event({"content": MARK}, None)
    delta = {"type": "text_delta", "text": MARK}
    return _anthropic_event({"type": "content_block_delta", "index": 0, "delta": delta})


def closing_frames(dialect: Dialect, *, usage: bool) -> bytes:
    """Return the events after the last chunk of text; `usage` adds OpenAI's chunk of that name."""
    if dialect is Dialect.OPENAI:
        last = _openai_event({}, "stop")
        if usage:
            last += (
                b"data: "
                + encode(_OPENAI_CHUNK | {"choices": [], "usage": _OPENAI_USAGE})
                + b"\n\n"
            )
        return last + b"data: [DONE]\n\n"
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _anthropic_event({"type": "content_block_stop", "index": 0})
        + _anthropic_event(
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 60}}
        )
        + _anthropic_event({"type": "message_stop"})
    )


END_MARKS = {Dialect.OPENAI: b"data: [DONE]", Dialect.ANTHROPIC: b'"message_stop"'}
"""Bytes that only the end of a complete stream carries."""

_OPENAI_USAGE = {"prompt_tokens": 120, "completion_tokens": 60, "total_tokens": 180}
_OPENAI_CHUNK: dict[str, Any] = {
    "id": "chatcmpl-bench00000000000000000001",
    "object": "chat.completion.chunk",
    "created": 1_767_225_600,
    "model": "bench",
}


def _reply(dialect: Dialect, words: str) -> dict[str, Any]:
    if dialect is Dialect.OPENAI:
        message = {"role": "assistant", "content": words, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        kind = {"object": "chat.completion", "choices": [choice], "usage": _OPENAI_USAGE}
        return _OPENAI_CHUNK | kind
    return {
        "id": "msg_bench00000000000000000001",
        "type": "message",
        "role": "assistant",
        "model": "bench",
        "content": [{"type": "text", "text": words}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 120, "output_tokens": 60},
    }


def _openai_event(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return b"data: " + encode(_OPENAI_CHUNK | {"choices": [choice]}) + b"\n\n"


def _anthropic_event(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + encode(event) + b"\n\n"


def _question(dialect: Dialect) -> dict[str, Any]:
    words = text(320, 3)
    if dialect is Dialect.OPENAI:
        system = {"role": "system", "content": "You are a scientist."}
        return {"messages": [system, {"role": "user", "content": words}]}
    return {"system": "You are a scientist.", "messages": [{"role": "user", "content": words}]}


def _history(dialect: Dialect, *, seed: int = 11) -> dict[str, Any]:
    """Return system, tools and messages of an agent that has read many files."""
    system = text(12_000, seed)
    tools = [_tool(dialect, f"tool_{number}", text(900, seed + number)) for number in range(1, 9)]
    size = len(system) + 8 * 1_150
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Find the bug and mend it."}]
    for number in range(1_000):
        step = list(_step(dialect, number, text(4_000, seed + 100 + number)))
        size += len(encode(step))
        if size > _TARGET_BYTES[Size.LARGE]:
            break
        messages += step
    if dialect is Dialect.OPENAI:
        return {"messages": [{"role": "system", "content": system}, *messages], "tools": tools}
    return {"system": system, "messages": messages, "tools": tools}


def _tool(dialect: Dialect, name: str, words: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["path"],
    }
    if dialect is Dialect.OPENAI:
        return {
            "type": "function",
            "function": {"name": name, "description": words, "parameters": schema},
        }
    return {"name": name, "description": words, "input_schema": schema}


def _step(dialect: Dialect, number: int, words: str) -> Iterator[dict[str, Any]]:
    """Yield one turn of the agent: what it says, the tool it calls, what the tool returned."""
    said = f"Reading file {number}."
    arguments = {"path": f"src/file_{number}.py", "limit": 200}
    ident = f"call_{number:08d}"
    if dialect is Dialect.OPENAI:
        function = {"name": "tool_1", "arguments": encode(arguments).decode()}
        call = {"id": ident, "type": "function", "function": function}
        yield {"role": "assistant", "content": said, "tool_calls": [call]}
        yield {"role": "tool", "tool_call_id": ident, "content": words}
    else:
        use = {"type": "tool_use", "id": ident, "name": "tool_1", "input": arguments}
        yield {"role": "assistant", "content": [{"type": "text", "text": said}, use]}
        yield {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": ident, "content": words}],
        }
