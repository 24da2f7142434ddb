"""Requests and replies that pass between a client and an upstream of this same dialect.

The upstream is asked without state, and its response is told under the client's own frame: the ids
and the state are the gateway's (ADR 0010). Encrypted reasoning is asked for in any case, so that it
can be replayed, and shown to clients that asked for it; it names its maker wherever the upstream
does not see it (ADR 0012).
"""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Seen
from meterway.protocols.chat.envelopes import is_sealed, unlabel
from meterway.protocols.chat.openai_errors import inner_error
from meterway.protocols.chat.openai_family import decode_at, optional
from meterway.protocols.chat.openai_models import abilities_of
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.openai_responses.items import (
    ENCRYPTED_KEY,
    UNKNOWN_PREFIX,
    with_maker,
    without_encrypted,
)
from meterway.protocols.chat.openai_responses.usage import decode_usage
from meterway.protocols.errors import BadReplyError, CompactedElsewhereError

_STATE = ("previous_response_id", "conversation", "background", "background_options")
_OURS = ("previous_response_id", "conversation", "background", "store", "metadata")
_FALSE, _EMPTY = msgspec.Raw(b"false"), msgspec.Raw(b"[]")
_LOOKED_AT = (b'call_output"', b'"reasoning"', UNKNOWN_PREFIX.encode(), ENCRYPTED_KEY)
_LED_TO = frozenset({"message", "function_call", "custom_tool_call"})  # and may have no id
_decode_text = msgspec.json.Decoder(str).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(RawObject).decode


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    content: msgspec.Raw = wire.NULL
    encrypted_content: msgspec.Raw = wire.NULL


class Passing(msgspec.Struct):
    """The fields of a response that the gateway reads."""

    status: str | None = None
    output: msgspec.Raw = wire.NULL
    usage: wire.Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw = wire.NULL


class _Loose(msgspec.Struct):
    """A response whose figures cannot be read."""

    output: msgspec.Raw = wire.NULL
    error: msgspec.Raw = wire.NULL


_Raws: Any = list[msgspec.Raw]
_Items: Any = list[_Item]
_decode_passing = msgspec.json.Decoder(Passing).decode
_decode_loose = msgspec.json.Decoder(_Loose).decode


def pass_request(body: RawObject, model: str, maker: str = "") -> bytes:
    """Return the client's own request for `model` at the upstream `maker`, without state.

    Raises `CompactedElsewhereError` where what stands for the conversation is another's.
    """
    sent = {name: raw for name, raw in body.items() if name not in _STATE}
    sent["model"], sent["store"] = json.raw(model), _FALSE
    if "input" in sent:
        sent["input"] = _replayable(sent["input"], maker)
    if abilities_of(model).encrypted_thoughts:
        include = optional(body, "include", list[str]) or []
        if wire.ENCRYPTED not in include:
            sent["include"] = json.raw([*include, wire.ENCRYPTED])
    return json.encode(sent)


def _replayable(raw: msgspec.Raw, maker: str) -> msgspec.Raw:
    """Leave out of `input` what the upstream does not know: ids of ours, thoughts of others.

    Reasoning without anything its vendor could check is looked up by its id, and not found.
    """
    text = bytes(raw)
    if not text.startswith(b"[") or not any(word in text for word in _LOOKED_AT):
        return raw
    items, heads = decode_at(raw, _Raws, "input"), decode_at(raw, _Items, "input")
    kept: list[Any] = []
    changed = lost = False
    for place, (item, head) in enumerate(zip(items, heads, strict=True)):
        made_by = value = ""
        if head.encrypted_content is not wire.NULL:
            made_by, value = _encrypted(head)
        if head.type == "reasoning":
            lost = bool(made_by) and made_by != maker
            if lost or not _is_replayable(head, made_by):
                changed = True
                continue
        elif made_by and made_by != maker:
            raise CompactedElsewhereError(f"input[{place}]")
        nameless = _is_named_here(head) or (lost and head.type in _LED_TO)
        if not made_by and not (nameless and head.id is not None):
            kept.append(item)
            continue
        kept.append(_as_sent(item, value if made_by else None, nameless=nameless))
        changed = True
    return json.raw(kept) if changed else raw


def _encrypted(item: _Item) -> tuple[str, str]:
    """Return who made what an item holds encrypted, and that; two empty texts for nothing."""
    if not wire.given(item.encrypted_content):
        return "", ""
    if item.type != "reasoning" and not wire.is_string(item.encrypted_content):
        return "", ""  # for the upstream to refuse in its own words
    return unlabel(decode_at(item.encrypted_content, str, "input"))


def _as_sent(item: msgspec.Raw, encrypted: str | None, *, nameless: bool) -> RawObject:
    """Return an item as its maker knows it.

    Without its id, where that is ours, or where a vendor that knew it would ask for the thought
    which led to it and is left out.
    """
    fields = _decode_object(item)
    if encrypted is not None:
        fields["encrypted_content"] = json.raw(encrypted)
    if nameless:
        fields.pop("id", None)
    return fields


def _is_replayable(item: _Item, made_by: str) -> bool:
    if not wire.given(item.encrypted_content):
        return wire.given(item.content) and item.content != _EMPTY
    return bool(made_by) or not is_sealed(_decode_text(item.encrypted_content))


def _is_named_here(item: _Item) -> bool:
    if item.type is not None and item.type.endswith("call_output"):
        return True
    return item.id is not None and item.id.startswith(UNKNOWN_PREFIX)


def pass_reply(body: bytes, model: str | None, frame: Frame, maker: str = "") -> Seen:
    """Read a response that passes; usage of an unknown shape counts as none.

    Raises `BadReplyError` where it is no response.
    """
    try:
        seen = read(body)
        if wire.given(seen.error) or seen.status == "failed":
            return Seen(body=body, failure=inner_error(seen.error))
        if not wire.given(seen.output):
            raise BadReplyError("The upstream's reply is not a response: it has no output.")
        output, shown = as_kept_and_shown(seen.output, frame, maker)
        told = framed(body, model, frame, shown)
        keep(frame, told, output, seen.status)
    except wire.UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is not a response: {error}.") from None
    return Seen(body=told, usage=decode_usage(seen.usage), service_tier=seen.service_tier)


def read(body: bytes | msgspec.Raw) -> Passing:
    """Read a response. Raises `msgspec.DecodeError`."""
    try:
        return _decode_passing(body)
    except msgspec.ValidationError:
        loose = _decode_loose(body)
        return Passing(output=loose.output, error=loose.error)


def as_kept_and_shown(output: msgspec.Raw, frame: Frame, maker: str) -> tuple[bytes, bytes]:
    """Return the items of an upstream's response as they are kept, and as the client is told them.

    What is encrypted names its maker, and is shown to clients that asked for it.
    """
    items = bytes(output)
    if ENCRYPTED_KEY not in items:
        return items, items
    named = [with_maker(item, maker) for item in _decode_raws(items)]
    kept = json.encode(named)
    if frame.wants_encrypted:
        return kept, kept
    return kept, json.encode([without_encrypted(item) for item in named])


def framed(body: bytes | msgspec.Raw, model: str | None, frame: Frame, output: bytes) -> bytes:
    """Return a response under the client's frame, with `output` for its items."""
    top = {**frame.echo, **_decode_object(body)}
    top["id"], top["created_at"] = json.raw(frame.id), json.raw(frame.created_at)
    top |= {name: frame.echo[name] for name in _OURS if name in frame.echo}
    if model is not None:
        top["model"] = json.raw(model)
    if output != bytes(wire.NULL):
        top["output"] = msgspec.Raw(output)
    return json.encode(top)


def keep(frame: Frame, told: bytes, output: bytes, status: str | None) -> None:
    """Leave the whole response in its frame."""
    frame.final, frame.output, frame.status = told, output, status or "completed"
