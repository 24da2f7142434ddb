"""Thoughts in a history that passes to an Anthropic upstream and that another vendor signed.

A client that changes the model in mid-conversation sends back what the model before thought. The
API refuses a signature it did not make, so such thoughts are left out. Those that nobody signed
stay: servers of the same dialect that sign nothing want them back. Source:
https://platform.claude.com/docs/en/build-with-claude/extended-thinking
"""

import msgspec

from meterway.kit import json
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.envelopes import is_sealed, mentions_sealed

_decode_blocks = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Turn(msgspec.Struct):
    content: msgspec.Raw = wire.NOTHING


class _Thought(msgspec.Struct):
    type: str = ""
    signature: str | None = None
    data: str | None = None


_decode_turn = msgspec.json.Decoder(_Turn).decode
_decode_thought = msgspec.json.Decoder(_Thought).decode


def without_others(messages: msgspec.Raw) -> msgspec.Raw:
    """Return `messages` without thoughts signed by others; untouched where there are none.

    What is no list of messages stays as it is, for the upstream to refuse in its own words.
    """
    if not mentions_sealed(messages):
        return messages
    try:
        turns = _decode_blocks(messages)
        return json.raw([kept for turn in turns if (kept := _kept(turn)) is not None])
    except wire.UNREADABLE:
        return messages


def _kept(turn: msgspec.Raw) -> msgspec.Raw | None:
    """Return a turn without thoughts of others, None where nothing is left."""
    content = _decode_turn(turn).content
    if not content or wire.is_string(content) or not mentions_sealed(content):
        return turn
    kept = [block for block in _decode_blocks(content) if not _is_others(block)]
    if not kept:
        return None
    return json.raw({**msgspec.json.decode(turn, type=json.RawObject), "content": kept})


def _is_others(block: msgspec.Raw) -> bool:
    if not mentions_sealed(block):
        return False
    found = _decode_thought(block)
    if found.type not in {"thinking", "redacted_thinking"}:
        return False
    return is_sealed(found.signature) or is_sealed(found.data)
