"""Why a choice ended: `finish_reason` and its readings.

OpenAI knows stop, length, tool_calls, content_filter and function_call
(https://platform.openai.com/docs/api-reference/chat/object); other servers add their own words.
"""

import msgspec

from meterway.protocols.chat.neutral import StopReason
from meterway.protocols.chat.openai_chat.wire import given

_REASONS = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "tool_calls": StopReason.TOOL_CALLS,
    "function_call": StopReason.TOOL_CALLS,
    "content_filter": StopReason.CONTENT_FILTER,
    "max_tokens": StopReason.LENGTH,
    "model_length": StopReason.CONTEXT_WINDOW,
    "insufficient_system_resource": StopReason.LENGTH,
    "tool_use": StopReason.TOOL_CALLS,
    "safety": StopReason.CONTENT_FILTER,
    "sensitive": StopReason.CONTENT_FILTER,
    "refusal": StopReason.REFUSAL,
    "stop_sequence": StopReason.STOP_SEQUENCE,
}
_WORDS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.PAUSE: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT_WINDOW: "length",
    StopReason.TOOL_CALLS: "tool_calls",
    StopReason.CONTENT_FILTER: "content_filter",
    StopReason.REFUSAL: "content_filter",
}


def decode_stop(
    reason: str | None, matched: msgspec.Raw, *, has_calls: bool, has_refusal: bool
) -> tuple[StopReason, str | None]:
    """Return the stop reason and the stop sequence that was met.

    `matched` is vLLM's `stop_reason`, the sequence in question. A plain stop of a message that
    calls tools or refuses is named by what it holds: OpenAI itself says "stop" after a tool
    call that `tool_choice` forced.
    """
    stop = _REASONS.get((reason or "stop").lower(), StopReason.END)
    if stop is not StopReason.END:
        return stop, None
    if has_calls:
        return StopReason.TOOL_CALLS, None
    if has_refusal:
        return StopReason.REFUSAL, None
    sequence = _sequence(matched)
    return (StopReason.STOP_SEQUENCE, sequence) if sequence else (stop, None)


def _sequence(matched: msgspec.Raw) -> str | None:
    if not given(matched) or not bytes(matched).startswith(b'"'):
        return None
    text = msgspec.json.decode(matched, type=str)
    return None if text in _REASONS or text == "end_turn" else text


def encode_stop(stop: StopReason, *, has_refusal: bool) -> str:
    """Return the `finish_reason` for `stop`; a refusal without text is a filtered reply."""
    return "stop" if has_refusal and stop is StopReason.REFUSAL else _WORDS[stop]
