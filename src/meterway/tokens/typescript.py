"""Function tools as the TypeScript namespace that OpenAI's models read them in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meterway.tokens.drafts import Tool

_NAMES = {"integer": "number", "null": "null", "string": "string", "boolean": "boolean"}


def namespace(tools: Sequence[Tool]) -> str:
    """Return the declarations of all tools."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        lines += _comment(tool.description)
        fields = list(_fields(tool.parameters or {}))
        if fields:
            lines += [f"type {tool.name} = (_: {{", *fields, "}) => any;", ""]
        else:
            lines += [f"type {tool.name} = () => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _comment(text: object) -> list[str]:
    return [f"// {text}"] if isinstance(text, str) and text else []


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    wanted = required if isinstance(required, list) else []
    for name, value in properties.items():
        shape = value if isinstance(value, dict) else {}
        yield from _comment(shape.get("description"))
        yield f"{name}{'' if name in wanted else '?'}: {_type(shape)},"


def _type(shape: Mapping[str, Any]) -> str:
    if isinstance(values := shape.get("enum"), list):
        return " | ".join(f'"{v}"' if isinstance(v, str) else str(v) for v in values)
    if isinstance(choices := shape.get("anyOf"), list):
        return " | ".join(_type(c) for c in choices if isinstance(c, dict))
    match shape.get("type"):
        case "object":
            return "\n".join(["{", *_fields(shape), "}"])
        case "array":
            items = shape.get("items")
            return f"{_type(items) if isinstance(items, dict) else 'any'}[]"
        case list() as names:
            return " | ".join(_NAMES.get(str(name), "any") for name in names)
        case name:
            return _NAMES.get(str(name), "number" if name == "number" else "any")
