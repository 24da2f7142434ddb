"""The items of a request's input, each as the JSON it came in: what the keeper of state works with.

Follows https://platform.openai.com/docs/api-reference/responses/create (`input`) and
https://platform.openai.com/docs/api-reference/responses/input-items.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat.envelopes import label
from meterway.protocols.chat.openai_family import decode_at
from meterway.protocols.chat.openai_responses import wire

REFERENCE = "item_reference"
UNKNOWN_PREFIX = "item_"  # of ids given to kept items of kinds whose vendor names its own
_WITH_STATUS = frozenset(
    {
        "message", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output",
    }
)  # fmt: skip
ENCRYPTED_KEY = b'"encrypted_content"'
_COMPLETED = json.raw("completed")
_MESSAGE = json.raw("message")
_EMPTY = json.raw("")
_Input: Any = str | list[msgspec.Raw] | None
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_object = msgspec.json.Decoder(RawObject).decode


class Head(msgspec.Struct):
    """What tells one item from another; a message may lack its type."""

    type: str | None = None
    id: str | None = None
    role: str | None = None

    @property
    def kind(self) -> str:
        """The item's type, said or meant."""
        if self.type is not None:
            return self.type
        return "message" if self.role is not None or self.id is None else REFERENCE


def input_items(body: RawObject) -> list[msgspec.Raw]:
    """Return the items of a request's `input`; a string is one user message, absent is none.

    Raises `InvalidRequestError` where it is anything else, or an item is no object.
    """
    items = unread_items(body)
    for place, item in enumerate(items):
        head_of(item, f"input[{place}]")
    return items


def unread_items(body: RawObject) -> list[msgspec.Raw]:
    """Return the items of a request's `input` as `input_items` does, whatever each of them is."""
    told: str | list[msgspec.Raw] | None = decode_at(body.get("input", wire.NULL), _Input, "input")
    if told is None:
        return []
    if isinstance(told, str):
        text = {"type": "input_text", "text": told}
        return [json.raw({"type": "message", "role": "user", "content": [text]})]
    return told


def head_of(item: msgspec.Raw, path: str = "item") -> Head:
    """Return what an item is. Raises `InvalidRequestError` naming `path`."""
    return decode_at(item, Head, path)


def reference_of(item: msgspec.Raw, path: str = "item") -> str | None:
    """Return the id of the item that `item` stands for, None where it stands for itself.

    Raises `InvalidRequestError` naming `path`.
    """
    head = head_of(item, path)
    return head.id if head.kind == REFERENCE else None


def with_items(body: RawObject, items: Sequence[msgspec.Raw]) -> RawObject:
    """Return the request with `items` for its input: history first, then what is new."""
    return {**body, "input": json.raw(list(items))}


def output_items(output: bytes) -> list[msgspec.Raw]:
    """Return the items of a kept output (`Frame.output`), to stand in a later request's input."""
    return _decode_raws(output)


def listed_items(items: Sequence[msgspec.Raw], *, encrypted: bool = False) -> list[msgspec.Raw]:
    """Return kept items as the API lists them.

    Messages have their content as parts, images a detail, and what can be unfinished a status;
    `encrypted_content` is shown where `encrypted` says that the client asked for it.
    """
    return [_listed(item, encrypted=encrypted) for item in items]


def _listed(item: msgspec.Raw, *, encrypted: bool) -> msgspec.Raw:
    head, fields = head_of(item), _decode_object(item)
    fields.setdefault("type", _MESSAGE)
    if head.kind == "reasoning":
        if not encrypted:
            fields.pop("encrypted_content", None)
    elif head.kind in _WITH_STATUS:
        if not wire.given(fields.get("status", wire.NULL)):
            fields["status"] = _COMPLETED
        if "content" in fields:
            fields["content"] = _parts(fields["content"], head.role == "assistant")
        if "output" in fields and wire.is_list(fields["output"]):
            fields["output"] = _parts(fields["output"], False)
    return json.raw(fields)


def _parts(content: msgspec.Raw, said: bool) -> msgspec.Raw:  # noqa: FBT001 - whose words they are
    if not wire.is_list(content):
        kind = "output_text" if said else "input_text"
        return json.raw([_part({"type": json.raw(kind), "text": content})])
    return json.raw([_part(_decode_object(raw)) for raw in _decode_raws(content)])


def _part(part: RawObject) -> RawObject:
    match bytes(part.get("type", b"")):
        case b'"input_image"':
            part.setdefault("detail", json.raw("auto"))
        case b'"output_text"':
            part.setdefault("annotations", json.raw([]))
        case _:
            pass  # texts and files are whole as they are
    return part


def with_maker(item: msgspec.Raw, maker: str) -> msgspec.Raw:
    """Return an upstream's item with the name of its maker, if any, in `encrypted_content`."""
    if not maker or ENCRYPTED_KEY not in bytes(item):
        return item
    fields = _decode_object(item)
    encrypted = fields.get("encrypted_content", wire.NULL)
    if not wire.is_string(encrypted) or encrypted == _EMPTY:
        return item
    fields["encrypted_content"] = json.raw(label(_decode_text(encrypted), maker))
    return json.raw(fields)


def without_encrypted(item: msgspec.Raw) -> msgspec.Raw:
    """Return an item without its `encrypted_content`."""
    if ENCRYPTED_KEY not in bytes(item):
        return item
    fields = _decode_object(item)
    fields.pop("encrypted_content", None)
    return json.raw(fields)
