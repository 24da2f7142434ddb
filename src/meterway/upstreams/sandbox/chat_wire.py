"""Writes replies as OpenAI's chat completions: whole, as a stream, and as an error.

Written by hand from the API reference, apart from the product's codecs:
https://platform.openai.com/docs/api-reference/chat/object and …/chat/streaming.
"""

from collections.abc import Iterator
from typing import Any

from meterway.kit.ids import random_text
from meterway.upstreams.sandbox.pieces import compact, fragments, logprobs, words
from meterway.upstreams.sandbox.types import Ask, Call, Fault, Script, Spent, Stop

DONE = b"data: [DONE]\n\n"
_FINISH = {
    Stop.END: "stop",
    Stop.SEQUENCE: "stop",
    Stop.REFUSAL: "stop",
    Stop.LENGTH: "length",
    Stop.TOOLS: "tool_calls",
}


def whole(script: Script, ask: Ask, spent: Spent) -> bytes:
    """Return a whole `chat.completion`."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": script.text or None,
        "refusal": script.refusal or None,
        "annotations": [],
    }
    if script.thinking:
        message["reasoning_content"] = script.thinking
    if script.calls:
        message["tool_calls"] = [{"id": _id("call_"), **_call(call)} for call in script.calls]
    choice = {
        "message": message,
        "logprobs": _logprobs(words(script.text), ask),
        "finish_reason": _FINISH[script.stop],
    }
    reply = _head(ask, "chat.completion", spent.at)
    reply["choices"] = [{"index": index, **choice} for index in range(ask.copies)]
    if script.usage:
        reply["usage"] = _usage(ask, spent)
    return compact(reply)


def stream(script: Script, ask: Ask, spent: Spent) -> Iterator[bytes]:
    """Yield the events of a stream, `[DONE]` and all."""
    head = _head(ask, "chat.completion.chunk", spent.at)
    if ask.include_usage:
        head["usage"] = None

    def event(index: int, delta: dict[str, Any], **more: Any) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return b"data: " + compact({**head, "choices": [choice]}) + b"\n\n"

    choices = range(ask.copies)
    for index in choices:
        yield event(index, {"role": "assistant", "content": "", "refusal": None})
    for delta, piece in _deltas(script):
        for index in choices:
            yield event(index, delta, logprobs=_logprobs([piece] if piece else [], ask))
    for index in choices:
        yield event(index, {}, finish_reason=_FINISH[script.stop])
    if ask.include_usage and script.usage:
        yield b"data: " + compact({**head, "choices": [], "usage": _usage(ask, spent)}) + b"\n\n"
    yield DONE


def error_event(message: str) -> bytes:
    """Return the event that ends a stream with an error."""
    body = {"message": message, "type": "server_error", "param": None, "code": None}
    return b"data: " + compact({"error": body}) + b"\n\n"


def failure(fault: Fault) -> bytes:
    """Return the body of an error answer."""
    body = {"message": fault.message, "type": fault.kind, "param": None, "code": fault.code}
    return compact({"error": body})


def _deltas(script: Script) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each delta with the visible text it carries."""
    for piece in words(script.thinking):
        yield {"reasoning_content": piece}, ""
    for piece in words(script.text):
        yield {"content": piece}, piece
    for piece in words(script.refusal):
        yield {"refusal": piece}, ""
    for number, call in enumerate(script.calls):
        kind = "custom" if call.custom else "function"
        said = "input" if call.custom else "arguments"
        opened = {"index": number, "id": _id("call_"), "type": kind}
        yield {"tool_calls": [{**opened, kind: {"name": call.name, said: ""}}]}, ""
        for fragment in fragments(call.arguments):
            yield {"tool_calls": [{"index": number, kind: {said: fragment}}]}, ""


def _call(call: Call) -> dict[str, Any]:
    if call.custom:
        return {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _head(ask: Ask, kind: str, created: int) -> dict[str, Any]:
    return {
        "id": _id("chatcmpl-"),
        "object": kind,
        "created": created,
        "model": ask.model,
        "service_tier": ask.tier,
        "system_fingerprint": "fp_sandbox",
    }


def _usage(ask: Ask, spent: Spent) -> dict[str, Any]:
    output = spent.output * ask.copies
    return {
        "prompt_tokens": spent.input,
        "completion_tokens": output,
        "total_tokens": spent.input + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": spent.thinking * ask.copies,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprobs(pieces: list[str], ask: Ask) -> dict[str, Any] | None:
    if ask.logprobs is None or not pieces:
        return None
    return {"content": logprobs(pieces, ask.logprobs), "refusal": None}


def _id(prefix: str) -> str:
    return prefix + random_text(24)
