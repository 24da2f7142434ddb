"""Reasoning items: the neutral form's thoughts, whoever's signature they carry.

OpenAI's own `encrypted_content` is in an envelope (`protocols.chat.envelopes`) wherever it stands
in the neutral form, and so is another vendor's signature wherever it stands in
`encrypted_content`: no vendor is sent what it cannot read. Thoughts are told as a summary; the
`content` other servers give a reasoning item is read too. See
https://platform.openai.com/docs/guides/reasoning.
"""

from typing import Any, TypeAlias

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.envelopes import (
    Envelope,
    is_sealed,
    label,
    seal,
    unlabel,
    unseal,
)
from meterway.protocols.chat.openai_family import decode_at
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.dialects import Dialect

Wire: TypeAlias = dict[str, Any]
BETWEEN = "\n\n"
_OURS, _SIGNER = Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES


class _Text(msgspec.Struct):
    text: str = ""


class Thought(msgspec.Struct, frozen=True):
    """What a reasoning item holds: a thought, or signatures of tool calls by their ids."""

    part: neutral.Thinking | neutral.RedactedThinking | None = None
    signatures: dict[str, str] = {}


def thoughts_of(item: wire.Item, path: str) -> Thought:
    """Read a client's reasoning item. Raises `InvalidRequestError`."""
    text = texts_at(item.summary, f"{path}.summary") or texts_at(item.content, f"{path}.content")
    encrypted = item.encrypted_content
    maker, encrypted = ("", None) if encrypted is None else unlabel(encrypted)
    envelope = None if encrypted is None or maker else unseal(encrypted)
    if envelope is not None and envelope.kind == "call":
        return Thought(signatures={envelope.id: envelope.value})
    if encrypted is None or (envelope is None and not maker and is_sealed(encrypted)):
        signature = None
    elif envelope is None:
        signature = own_signature(encrypted, item.id or "", maker)
    elif envelope.dialect is _SIGNER:  # whose own signatures the neutral form has bare
        signature = envelope.value
    else:
        signature = encrypted
    if envelope is not None and envelope.kind == "redacted" and signature is not None:
        return Thought(neutral.RedactedThinking(data=signature, path=path))
    return Thought(thought(text, signature, path))


def texts_at(raw: msgspec.Raw, path: str) -> str:
    """Return the texts of a summary or a reasoning's content, joined by blank lines."""
    if not wire.given(raw):
        return ""
    return BETWEEN.join(one.text for one in decode_at(raw, list[_Text], path))


def thought(
    text: str, signature: str | None, path: str = ""
) -> neutral.Thinking | neutral.RedactedThinking | None:
    """Return the part that says `text`; without words, what is signed is a hidden thought."""
    if text or signature is None:
        return neutral.Thinking(text=text, signature=signature, path=path) if text else None
    return neutral.RedactedThinking(data=signature, path=path)


def own_signature(encrypted: str, id_: str, maker: str = "") -> str:
    """Return OpenAI's `encrypted_content` as the neutral form's signature."""
    return seal(Envelope(_OURS, "item", encrypted, id_, maker))


def encrypted_of(signature: str, *, redacted: bool) -> str:
    """Return a signature or redacted thought as a client's `encrypted_content`."""
    envelope = unseal(signature)
    if envelope is not None and envelope.dialect is _OURS:
        return label(envelope.value, envelope.maker)
    if envelope is not None:
        return signature
    return seal(Envelope(_SIGNER, "redacted" if redacted else "signature", signature))


def encrypted_of_call(signature: str, call_id: str) -> str:
    """Return the signature of a tool call, which is Gemini's, as `encrypted_content`."""
    return seal(Envelope(Dialect.GEMINI, "call", signature, call_id))


def replayed(part: neutral.Thinking | neutral.RedactedThinking, maker: str = "") -> Wire | None:
    """Return the item the upstream called `maker` is sent; None for a thought it cannot read."""
    if isinstance(part, neutral.Thinking):
        signature, text = part.signature, part.text
    else:
        signature, text = part.data, ""
    envelope = None if signature is None else unseal(signature)
    if envelope is None or envelope.dialect is not _OURS:
        return None
    if envelope.maker and envelope.maker != maker:
        return None
    item: Wire = {"type": "reasoning"}
    if envelope.id:
        item["id"] = envelope.id
    item["summary"] = [{"type": "summary_text", "text": text}] if text else []
    item["encrypted_content"] = envelope.value
    return item
