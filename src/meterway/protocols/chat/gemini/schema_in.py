"""Google's own schema language, a part of OpenAPI 3.0, as JSON schema.

Source: https://ai.google.dev/api/caching#Schema. Types are written in capitals, null is a flag,
and counts may be strings, as in protobuf's JSON.
"""

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


def json_schema(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    """Return the JSON schema that `raw` means. Raises `InvalidRequestError` naming the path."""
    try:
        return json.raw(_converted(decode_at(raw, dict[str, Any], path), path))
    except RecursionError:
        raise refused(path, "nested too deeply") from None
    except wire.UNREADABLE as error:
        raise refused(path, str(error)) from None


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
