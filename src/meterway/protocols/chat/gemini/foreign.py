"""What another vendor's model did in a history that passes to Google.

A client that changes the model in mid-conversation, or is served by the next of several, sends back
what the model before thought and called. Google refuses a signature it did not make, so such
thoughts are left out; and from Gemini 3 on it refuses a turn whose first call has none, so that one
gets the value named for such histories: https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from operator import is_

import msgspec

from meterway.kit import json
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.abilities import abilities_of
from meterway.protocols.chat.gemini.marks import START, UNSIGNED

_OTHERS = b'"' + START.encode()
_CALLS = (b'"functionCall"', b'"function_call"')
_UNSIGNED = json.raw(UNSIGNED)
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(json.RawObject).decode


class _Content(msgspec.Struct):
    parts: msgspec.Raw = wire.NOTHING


class _Part(msgspec.Struct):
    """A part's call and its signature, under either spelling."""

    functionCall: msgspec.Raw = wire.NOTHING  # noqa: N815 - the wire's own name
    function_call: msgspec.Raw = wire.NOTHING
    thoughtSignature: str | None = None  # noqa: N815 - the wire's own name
    thought_signature: str | None = None

    @property
    def signature(self) -> str:
        """The signature, empty where there is none."""
        return self.thoughtSignature or self.thought_signature or ""

    @property
    def calls(self) -> bool:
        """Whether the part calls a function."""
        return wire.given(self.functionCall) or wire.given(self.function_call)


_decode_content = msgspec.json.Decoder(_Content).decode
_decode_part = msgspec.json.Decoder(_Part).decode


def replayable(contents: msgspec.Raw, model: str) -> msgspec.Raw:
    """Return `contents` as Google takes them from `model`; untouched where that is how they are.

    What is no list of turns stays as it is, for the upstream to refuse in its own words.
    """
    text = bytes(contents)
    signs = abilities_of(model).signed and any(word in text for word in _CALLS)
    if not signs and _OTHERS not in text:
        return contents
    try:
        given = _decode_list(contents)
        turns = [kept for turn in given if (kept := _without_others(turn)) is not None]
        if signs:
            turns = [_signed(turn) for turn in turns]
    except wire.UNREADABLE:
        return contents
    same = len(turns) == len(given) and all(map(is_, turns, given))
    return contents if same else json.raw(turns)


def _without_others(turn: msgspec.Raw) -> msgspec.Raw | None:
    """Return a turn without thoughts of others, None where nothing is left."""
    if _OTHERS not in bytes(turn):
        return turn
    parts = _decode_list(_decode_content(turn).parts)
    kept = [part for part in parts if not _decode_part(part).signature.startswith(START)]
    if len(kept) == len(parts):
        return turn
    return _with_parts(turn, kept) if kept else None


def _signed(turn: msgspec.Raw) -> msgspec.Raw:
    """Return a turn whose first call is signed."""
    text = bytes(turn)
    if not any(word in text for word in _CALLS):
        return turn
    parts = _decode_list(_decode_content(turn).parts)
    for place, part in enumerate(parts):
        found = _decode_part(part)
        if found.calls and found.signature:
            return turn
        if found.calls:
            parts[place] = json.raw({**_decode_object(part), "thoughtSignature": _UNSIGNED})
            return _with_parts(turn, parts)
    return turn


def _with_parts(turn: msgspec.Raw, parts: list[msgspec.Raw]) -> msgspec.Raw:
    return json.raw({**_decode_object(turn), "parts": parts})
