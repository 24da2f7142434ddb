"""JSON schemas as Anthropic's structured outputs demand them: every object closed.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs (JSON schema
limitations).
"""

from typing import Any

import msgspec

_ONE = ("items", "not", "if", "then", "else")
_MANY = ("anyOf", "allOf", "oneOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions")


def closed(schema: msgspec.Raw) -> msgspec.Raw:
    """Return `schema` with `additionalProperties: false` where an object leaves it open unsaid.

    A schema that says it everywhere travels untouched, and so does one that cannot be read: too
    deep, a number out of range, no UTF-8. The vendor says what is wrong with it.
    """
    try:
        tree = msgspec.json.decode(schema)
        return msgspec.Raw(msgspec.json.encode(tree)) if _close(tree) else schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return schema


def _close(node: Any) -> bool:
    """Close objects in place; whether anything changed."""
    if not isinstance(node, dict):
        return False
    is_open = _is_object(node) and "additionalProperties" not in node
    if is_open:
        node["additionalProperties"] = False
    return any([is_open, *(_close(child) for child in _children(node))])


def _is_object(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _children(node: dict[str, Any]) -> list[Any]:
    children = [node[name] for name in _ONE if name in node]
    for name in _MANY:
        children += node[name] if isinstance(node.get(name), list) else []
    for name in _NAMED:
        children += node[name].values() if isinstance(node.get(name), dict) else []
    return children
