"""Google's own schema language, a part of OpenAPI 3.0, as JSON schema.

Source: https://ai.google.dev/api/caching#Schema. Types are written in capitals, null is a flag,
and counts may be strings, as in protobuf's JSON. Google takes those capitals in the places of a
JSON schema too, and Gemini CLI sends them there; no other vendor does.
"""

import re
from typing import Any

import msgspec

from meterway.kit import json
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.faults import decode_at, refused

_UNSPECIFIED = "type_unspecified"
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_UNKNOWN = frozenset({"propertyOrdering", "nullable"})  # to JSON schema
_PLAIN_FORMATS = frozenset({"enum"})  # which say nothing there
# What the API calls its types, where a JSON schema names one.
_GOOGLES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_A_TYPE = re.compile(rb'"type"\s*:\s*\[?\s*"([A-Za-z]*)"')
_BY_NAME = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_DATA = frozenset({"const", "default", "enum", "example", "examples"})


def json_schema(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    """Return the JSON schema that `raw` means. Raises `InvalidRequestError` naming the path."""
    try:
        return json.raw(_converted(decode_at(raw, dict[str, Any], path), path))
    except RecursionError:
        raise refused(path, "nested too deeply") from None
    except wire.UNREADABLE as error:
        raise refused(path, str(error)) from None


def plain_types(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    """Return a JSON schema with its types as JSON schema writes them; else it stays as it came.

    Whoever writes one in capitals writes all so: the first is looked at, which costs next to
    nothing. Raises `InvalidRequestError` naming the path.
    """
    first = _A_TYPE.search(raw)
    if first is None or not first[1].isupper():
        return raw
    try:
        return json.raw(_plain(decode_at(raw, Any, path)))
    except RecursionError:
        raise refused(path, "nested too deeply") from None


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    schema: dict[str, Any] = {}
    for name, value in node.items():
        if name in _BY_NAME and isinstance(value, dict):
            schema[name] = {key: _plain(inner) for key, inner in value.items()}
        elif name == "type":
            schema[name] = (
                [_word(one) for one in value] if isinstance(value, list) else _word(value)
            )
        else:
            schema[name] = value if name in _DATA else _plain(value)
    return schema


def _word(found: Any) -> Any:
    if isinstance(found, list):
        return [_word(one) for one in found]
    return found.lower() if isinstance(found, str) and found in _GOOGLES else found


def _converted(node: Any, path: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise refused(path, "a schema is an object")
    schema: dict[str, Any] = {}
    for name, value in node.items():
        if name in _UNKNOWN or value is None:
            continue
        found = _field(name, value, f"{path}.{name}")
        if found is not None:
            schema["examples" if name == "example" else name] = found
    if node.get("nullable") is True:
        _allow_null(schema)
    return schema


def _field(name: str, value: Any, path: str) -> Any:
    found = value
    if name == "type" and isinstance(value, str):
        found = None if value.lower() == _UNSPECIFIED else value.lower()
    elif name == "properties" and isinstance(value, dict):
        found = {key: _converted(inner, f"{path}.{key}") for key, inner in value.items()}
    elif name == "items":
        found = _converted(value, path)
    elif name in {"anyOf", "prefixItems"} and isinstance(value, list):
        found = [_converted(inner, f"{path}[{place}]") for place, inner in enumerate(value)]
    elif name in _COUNTS and isinstance(value, str):
        found = decode_at(json.raw(value), int, path)
    elif name == "format" and value in _PLAIN_FORMATS:
        found = None
    elif name == "example":
        found = [value]
    return found


def _allow_null(schema: dict[str, Any]) -> None:
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if "anyOf" in schema:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
