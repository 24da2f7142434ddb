"""Thoughts in a history that passes to Google and that another vendor's model had.

A client that changes the model in mid-conversation sends back what the model before thought. Google
refuses a signature it did not make (https://ai.google.dev/gemini-api/docs/thought-signatures), so
such thoughts are left out.
"""

import msgspec

from meterway.kit import json
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.marks import START

_IN_JSON = b'"' + START.encode()
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(json.RawObject).decode


class _Content(msgspec.Struct):
    parts: msgspec.Raw = wire.NOTHING


class _Part(msgspec.Struct):
    """A part's signature, under either spelling."""

    thoughtSignature: str | None = None  # noqa: N815 - the wire's own name
    thought_signature: str | None = None


_decode_content = msgspec.json.Decoder(_Content).decode
_decode_part = msgspec.json.Decoder(_Part).decode


def without_others(contents: msgspec.Raw) -> msgspec.Raw:
    """Return `contents` without thoughts signed by others; untouched where there are none.

    What is no list of turns stays as it is, for the upstream to refuse in its own words.
    """
    if _IN_JSON not in bytes(contents):
        return contents
    try:
        return json.raw([kept for turn in _decode_list(contents) if (kept := _kept(turn))])
    except wire.UNREADABLE:
        return contents


def _kept(turn: msgspec.Raw) -> msgspec.Raw | None:
    """Return a turn without thoughts of others, None where nothing is left."""
    parts = _decode_content(turn).parts
    if _IN_JSON not in bytes(parts):
        return turn
    kept = [part for part in _decode_list(parts) if not _is_others(part)]
    return json.raw({**_decode_object(turn), "parts": kept}) if kept else None


def _is_others(part: msgspec.Raw) -> bool:
    if _IN_JSON not in bytes(part):
        return False
    found = _decode_part(part)
    return (found.thoughtSignature or found.thought_signature or "").startswith(START)
