"""Items: the pieces of a conversation, each a JSON object with an id of its own.

Follows https://platform.openai.com/docs/api-reference/conversations/create-items
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from meterway.kit import json
from meterway.kit.ids import object_id
from meterway.kit.json import RawObject
from meterway.threads.errors import BadItemError, TooManyItemsError
from meterway.threads.naming import ITEM_LONGEST, LONGEST, is_name
from meterway.threads.types import Item

AT_ONCE: Final = 20
"""How many items one request may add to a conversation."""

MESSAGE: Final = "message"
_REFERENCE: Final = "item_reference"
_PREFIXES: Final = {
    MESSAGE: "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
    "computer_call": "cu",
    "computer_call_output": "cuo",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "compaction": "cmp",
}
_WITH_STATUS: Final = frozenset({MESSAGE, "function_call", "function_call_output"})
_COMPLETED = json.raw("completed")
_ASKED, _SAID = (  # a text's place in it: JSON goes in as it came
    b'[{"type":"input_text","text":%b}]',
    b'[{"type":"output_text","text":%b,"annotations":[],"logprobs":[]}]',
)
_NULL: Final = b"null"
_NEW_MESSAGE: Final = b'{"id":"%b","type":"message","status":"completed","role":%b,"content":%b}'
_PLAIN: Final = frozenset({"type", "role", "content"})
_TYPE: Final = msgspec.Raw(b'"message"')
_SAYS: Final = b'"assistant"'
_ROLES: Final = frozenset({b'"user"', b'"system"', b'"developer"', _SAYS})
_decode_object = msgspec.json.Decoder(RawObject).decode


class _Head(msgspec.Struct):
    """What an item is read by; a message may lack its type."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: msgspec.Raw = msgspec.Raw(_NULL)


def new_id(kind: str) -> str:
    """Return a new id for an item of a type: `msg_`, `fc_`, … and 48 hex digits."""
    return object_id(_PREFIXES.get(kind, "item"))


def read(raw: bytes | msgspec.Raw, path: str = "items", most: int | None = AT_ONCE) -> list[Item]:
    """Read items a client sent as a JSON array; those without an id or a type get one.

    A message whose content is a text gets a list of one part, as it is shown later. Raises
    `InvalidRequestError` with the path of what is wrong, `TooManyItemsError` and `BadItemError`.
    """
    given = json.decode_as(raw, list[msgspec.Raw], path)
    if most is not None and len(given) > most:
        raise TooManyItemsError(f"At most {most} items can be added at a time.", param=path)
    return [read_one(one, f"{path}[{i}]") for i, one in enumerate(given)]


def read_one(raw: bytes | msgspec.Raw, path: str) -> Item:
    """Read one item as `read` does, found at `path`."""
    head = json.decode_as(raw, _Head, path)
    kind = head.type or MESSAGE
    if not is_name(kind):
        raise BadItemError(
            f"`{path}.type` names no type of an item; it has at most {LONGEST} characters.",
            param=f"{path}.type",
        )
    if kind == _REFERENCE:
        raise BadItemError(
            f"`{path}` refers to an item kept elsewhere; send the item itself.", param=path
        )
    if head.id is not None and not is_name(head.id, ITEM_LONGEST):
        raise BadItemError(
            f"`{path}.id` cannot be kept: an id has 1 to {ITEM_LONGEST} printable ASCII "
            "characters; leave it out to get one.",
            param=f"{path}.id",
        )
    fields = json.decode_as(raw, RawObject, path)
    if kind == MESSAGE:
        fields["content"] = _content(head, path)
    return _item(head.id or new_id(kind), kind, fields)


def new_message(raw: bytes | msgspec.Raw) -> bytes | None:
    """Return the body `read_one` gives a message of no more than a role and a content.

    Most items are one, and this costs a part of it; None for all that is anything else.
    """
    try:
        fields = _decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # who reads it as what it is says what is wrong
    if not fields.keys() <= _PLAIN or fields.get("type", _TYPE) != _TYPE:
        return None
    role, content = bytes(fields.get("role", b"")), bytes(fields.get("content", b""))
    if role not in _ROLES:
        return None
    if content.startswith(b'"'):
        content = (_SAID if role == _SAYS else _ASKED) % content
    elif not content.startswith(b"["):
        return None
    return _NEW_MESSAGE % (new_id(MESSAGE).encode(), role, content)


def made(body: bytes | msgspec.Raw) -> Item:
    """Take an item that an answer holds; an id that cannot be kept is replaced by one of ours."""
    fields = json.decode_top(bytes(body))
    kind, id_ = (msgspec.json.decode(fields.get(name, b"null")) for name in ("type", "id"))
    if not isinstance(kind, str) or not is_name(kind):
        kind = MESSAGE
    if isinstance(id_, str) and is_name(id_, ITEM_LONGEST):
        return Item(id_, kind, bytes(body))
    return _item(new_id(kind), kind, fields)


def joined(bodies: Sequence[bytes]) -> bytes:
    """Return JSON objects as one JSON array."""
    return b"[" + b",".join(bodies) + b"]"


def chained(arrays: Sequence[bytes]) -> bytes:
    """Return the elements of JSON arrays, in their order, as one JSON array."""
    inner = (array.strip()[1:-1].strip() for array in arrays)
    return joined([elements for elements in inner if elements])


def _content(head: _Head, path: str) -> msgspec.Raw:
    """Return a message's content as a list of parts."""
    content = bytes(head.content)
    if head.role is None or content == _NULL:
        raise BadItemError(
            f"`{path}` is a message, which has a `role` and a `content`; an item of another kind "
            "has a `type`.",
            param=path,
        )
    if content.startswith(b"["):
        return head.content
    if not content.startswith(b'"'):
        json.decode_as(content, str, f"{path}.content")
    return msgspec.Raw((_SAID if head.role == "assistant" else _ASKED) % content)


def _item(id_: str, kind: str, fields: RawObject) -> Item:
    """Return the item; `id` and `type` come first in it, and a status."""
    first: dict[str, Any] = {"id": id_, "type": kind}
    status = fields.pop("status", None)
    if status is not None and not json.is_null(status):
        first["status"] = status
    elif kind in _WITH_STATUS:
        first["status"] = _COMPLETED
    return Item(id_, kind, json.encode({**first, **fields, **first}))
