"""Items: the pieces of a conversation, each a JSON object with an id of its own.

Follows https://platform.openai.com/docs/api-reference/conversations/create-items
"""

from collections.abc import Sequence
from typing import Any, Final, TypeGuard

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
_NAMED: Final = frozenset({"id", "type"})
_COMPLETED = json.raw("completed")


def new_id(kind: str) -> str:
    """Return a new id for an item of a type: `msg_`, `fc_`, … and 48 hex digits."""
    return object_id(_PREFIXES.get(kind, "item"))


def read(raw: bytes | msgspec.Raw, path: str = "items", most: int | None = AT_ONCE) -> list[Item]:
    """Read items a client sent as a JSON array; those without an id or a type get one.

    A message whose content is a text gets a list of one part, as it is shown later. Raises
    `InvalidRequestError` with the path of what is wrong, `TooManyItemsError` and `BadItemError`.
    """
    given = json.decode_as(raw, list[RawObject], path)
    if most is not None and len(given) > most:
        raise TooManyItemsError(f"At most {most} items can be added at a time.", param=path)
    return [_read(fields, f"{path}[{i}]") for i, fields in enumerate(given)]


def read_one(raw: bytes | msgspec.Raw, path: str) -> Item:
    """Read one item as `read` does, found at `path`."""
    return _read(json.decode_as(raw, RawObject, path), path)


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


def _read(fields: RawObject, path: str) -> Item:
    kind = _text(fields.get("type"), f"{path}.type") or MESSAGE
    if not is_name(kind):
        raise BadItemError(
            f"`{path}.type` names no type of an item; it has at most {LONGEST} characters.",
            param=f"{path}.type",
        )
    if kind == _REFERENCE:
        raise BadItemError(
            f"`{path}` refers to an item kept elsewhere; send the item itself.", param=path
        )
    id_ = _text(fields.get("id"), f"{path}.id")
    if id_ is not None and not is_name(id_, ITEM_LONGEST):
        raise BadItemError(
            f"`{path}.id` cannot be kept: an id has 1 to {ITEM_LONGEST} printable ASCII "
            "characters; leave it out to get one.",
            param=f"{path}.id",
        )
    if kind == MESSAGE:
        fields = {**fields, "content": _content(fields, path)}
    return _item(id_ or new_id(kind), kind, fields)


def _content(fields: RawObject, path: str) -> msgspec.Raw:
    """Return a message's content as a list of parts."""
    role = _text(fields.get("role"), f"{path}.role")
    content = fields.get("content")
    if role is None or content is None:
        raise BadItemError(
            f"`{path}` is a message, which has a `role` and a `content`; an item of another kind "
            "has a `type`.",
            param=path,
        )
    if bytes(content).startswith(b"["):
        return content
    text = json.decode_as(content, str, f"{path}.content")
    part: dict[str, Any] = {"type": "input_text", "text": text}
    if role == "assistant":
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return json.raw([part])


def _item(id_: str, kind: str, fields: RawObject) -> Item:
    """Return the item; `id` and `type` come first in it."""
    body: dict[str, msgspec.Raw] = {"id": json.raw(id_), "type": json.raw(kind)}
    if kind in _WITH_STATUS:
        body["status"] = _COMPLETED
    given = (name for name, value in fields.items() if name not in _NAMED)
    body.update((name, fields[name]) for name in given if name != "status" or _says(fields[name]))
    return Item(id_, kind, json.encode(body))


def _says(value: msgspec.Raw | None) -> TypeGuard[msgspec.Raw]:
    return value is not None and not json.is_null(value)


def _text(value: msgspec.Raw | None, path: str) -> str | None:
    """Read a text; absent and null are none."""
    return json.decode_as(value, str, path) if _says(value) else None
