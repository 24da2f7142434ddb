"""Why a candidate ended: `finishReason` and its readings.

Source: https://ai.google.dev/api/generate-content#FinishReason. A reason nobody here knows, or one
that only tells of the model's own trouble, ends a reply as usual.
"""

from meterway.protocols.chat.neutral import StopReason

_FILTERED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
})  # fmt: skip
_WORDS = {
    StopReason.END: "STOP",
    StopReason.STOP_SEQUENCE: "STOP",
    StopReason.TOOL_CALLS: "STOP",
    StopReason.PAUSE: "STOP",
    StopReason.LENGTH: "MAX_TOKENS",
    StopReason.CONTEXT_WINDOW: "MAX_TOKENS",
    StopReason.CONTENT_FILTER: "SAFETY",
    StopReason.REFUSAL: "SAFETY",
}


def decode_stop(reason: str | None, *, calls: bool) -> StopReason:
    """Return the stop reason; a plain end after function calls is theirs."""
    if reason == "MAX_TOKENS":
        return StopReason.LENGTH
    if reason in _FILTERED:
        return StopReason.CONTENT_FILTER
    return StopReason.TOOL_CALLS if calls else StopReason.END


def encode_stop(stop: StopReason) -> str:
    """Return the `finishReason` for `stop`."""
    return _WORDS[stop]
