"""Reasoning as messages and deltas carry it: `reasoning_content`, `reasoning`, `reasoning_details`.

DeepSeek and its followers use `reasoning_content`, Groq and OpenRouter `reasoning`; OpenRouter's
`reasoning_details` also carries signatures (`reasoning.text`) and encrypted reasoning
(`reasoning.encrypted`), see https://openrouter.ai/docs/use-cases/reasoning-tokens. Clients get
`reasoning_content` for reading and `reasoning_details` for sending back: a client that returns
the message, or the items of all its chunks in order, returns every signature.
"""

from typing import Any

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire

TEXT, SUMMARY, ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"
_decode_details = msgspec.json.Decoder(list[wire.ReasoningDetail]).decode
_decode_text = msgspec.json.Decoder(str).decode


def details_of(raw: msgspec.Raw) -> list[wire.ReasoningDetail]:
    """Read `reasoning_details`; what is not a list of such items holds nothing we could use."""
    if raw is wire.NULL or not bytes(raw).startswith(b"["):
        return []
    try:
        return _decode_details(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def text_of(content: str | None, reasoning: msgspec.Raw) -> str:
    """Return the plain reasoning text, under whichever of the two names it came."""
    if content:
        return content
    if not wire.given(reasoning):
        return ""
    try:
        return _decode_text(reasoning)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def decode_reasoning(
    text: str, details: list[wire.ReasoningDetail], path: str = ""
) -> list[neutral.Thinking | neutral.RedactedThinking]:
    """Return the reasoning parts of a message.

    Text items that follow each other belong to one part until a signature ends it or their
    `index` changes, so that the items of a stream's chunks may come back unjoined.
    """
    if not text and not details:
        return []
    parts = _joined(details, path)
    if text and not any(isinstance(part, neutral.Thinking) and part.text for part in parts):
        parts.insert(0, neutral.Thinking(text=text, path=_at(path, "reasoning_content")))
    return parts


def _joined(
    details: list[wire.ReasoningDetail], path: str
) -> list[neutral.Thinking | neutral.RedactedThinking]:
    parts: list[neutral.Thinking | neutral.RedactedThinking] = []
    open_index: int | None = None
    is_open = False
    for place, detail in enumerate(details):
        where = _at(path, f"reasoning_details[{place}]")
        if detail.type == ENCRYPTED:
            parts.append(neutral.RedactedThinking(data=detail.data or "", path=where))
            is_open = False
            continue
        if detail.type not in {TEXT, SUMMARY}:
            continue
        text = detail.text or detail.summary or ""
        last = parts[-1] if parts else None
        if is_open and detail.index == open_index and isinstance(last, neutral.Thinking):
            text, where = last.text + text, last.path
            parts.pop()
        parts.append(neutral.Thinking(text=text, signature=detail.signature, path=where))
        open_index, is_open = detail.index, detail.signature is None
    return parts


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def thoughts_of(
    parts: tuple[neutral.AnyPart, ...],
) -> list[neutral.Thinking | neutral.RedactedThinking]:
    """Return the reasoning among `parts`, in order."""
    return [part for part in parts if isinstance(part, neutral.Thinking | neutral.RedactedThinking)]


def encode_reasoning(parts: tuple[neutral.AnyPart, ...]) -> dict[str, Any]:
    """Return the keys that carry a message's reasoning; none where it has no reasoning.

    `reasoning_details` is written only where it says more than the text does.
    """
    thoughts = thoughts_of(parts)
    keys: dict[str, Any] = {}
    if text := "".join(part.text for part in thoughts if isinstance(part, neutral.Thinking)):
        keys["reasoning_content"] = text
    if len(thoughts) > 1 or any(_says_more(part) for part in thoughts):
        keys["reasoning_details"] = [
            encode_detail(part, place) for place, part in enumerate(thoughts)
        ]
    return keys


def _says_more(part: neutral.Thinking | neutral.RedactedThinking) -> bool:
    return isinstance(part, neutral.RedactedThinking) or part.signature is not None


def encode_detail(part: neutral.Thinking | neutral.RedactedThinking, index: int) -> dict[str, Any]:
    """Return one item of `reasoning_details`."""
    if isinstance(part, neutral.RedactedThinking):
        return {"type": ENCRYPTED, "data": part.data, "index": index}
    item: dict[str, Any] = {"type": TEXT, "text": part.text, "index": index}
    if part.signature is not None:
        item["signature"] = part.signature
    return item
