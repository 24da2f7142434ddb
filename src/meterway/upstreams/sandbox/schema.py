"""The smallest value that fits a JSON schema, always the same for the same schema.

Follows https://json-schema.org/draft/2020-12 for what tools and structured outputs use: types,
enum, const, properties, items, combinations, references, formats, bounds and simple patterns.
A contradiction or a pattern beyond `patterns` yields a value that fits as far as it can.
"""

import math
from collections.abc import Mapping
from typing import Any

from meterway.upstreams.sandbox.patterns import sample

_TEXT = "[sandbox]"
_DEEPEST = 12
_MOST_VALUES = 5000  # of one schema: references may branch without end
_MOST_ITEMS = 100
_MOST_LETTERS = 10_000

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "sandbox@example.com",
    "hostname": "sandbox.example.com",
    "idn-email": "sandbox@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "iri": "https://example.com/sandbox",
    "json-pointer": "/sandbox",
    "regex": "sandbox",
    "time": "00:00:00Z",
    "uri": "https://example.com/sandbox",
    "uri-reference": "/sandbox",
    "url": "https://example.com/sandbox",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

# What tells the type of a schema that does not say it.
_HINTS = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "contains", "uniqueItems")),
    ("string", ("pattern", "minLength", "maxLength", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


class BadSchemaError(ValueError):
    """A keyword of the schema has a value of the wrong type."""


def instance(schema: Any) -> Any:
    """Return a JSON value that fits `schema` (decoded JSON). Raises `BadSchemaError`."""
    try:
        return _Maker(schema).make(schema, 0, 0)
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BadSchemaError(f"The JSON schema is not valid: {error}.") from error


class _Maker:
    """Makes values for one root schema, which its references point into."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MOST_VALUES

    def make(self, schema: Any, depth: int, nth: int) -> Any:
        """Return the `nth` value (0 the first) that fits; different ones where that is easy."""
        self._left -= 1
        if schema is False or depth > _DEEPEST or self._left < 0:
            return None
        if not isinstance(schema, Mapping):
            return _text({}, nth)
        schema = self._flat(schema, depth)
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if choices:
            return choices[nth % len(choices)]
        match _kind(schema, depth):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case kind:
                return _plain(kind, schema, nth)

    def _flat(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """Return the schema with references, `allOf` and one of each alternative folded in."""
        flat = dict(schema)
        for _ in range(_DEEPEST):
            reference = flat.pop("$ref", None)
            parts = flat.pop("allOf", None) or []
            if isinstance(reference, str):
                parts = [self._target(reference), *parts]
            for name in ("anyOf", "oneOf"):
                if options := flat.pop(name, None):
                    parts = [*parts, self._option(options, depth)]
            if not parts:
                break
            for part in parts:
                if isinstance(part, Mapping):
                    flat = _both(flat, part)
        return flat

    def _target(self, reference: str) -> Any:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key, {}) if isinstance(found, Mapping) else {}
        return found if reference.startswith("#") else {}

    def _option(self, options: list[Any], depth: int) -> Any:
        """Return the first alternative, the plainest one far down, so that trees end."""
        nulls = [option for option in options if option == {"type": "null"}]
        others = [option for option in options if option not in nulls]
        if depth >= _DEEPEST // 2:
            plain = [o for o in others if isinstance(o, Mapping) and "$ref" not in o]
            return (nulls or plain or others)[0]
        return (others or nulls)[0]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        known = schema.get("properties")
        known = known if isinstance(known, Mapping) else {}
        more = schema.get("additionalProperties", True)
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        least = schema.get("minProperties", 0)
        names = list(dict.fromkeys(required))
        names += [name for name in known if name not in names][: max(0, least - len(names))]
        names += [f"sandbox{number}" for number in range(len(names), min(least, _MOST_ITEMS))]
        return {name: self.make(known.get(name, more), depth + 1, 0) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        least = schema.get("minItems", 0)
        wanted = max(least, len(first), 0 if depth >= _DEEPEST // 2 else 1)
        wanted = min(wanted, schema.get("maxItems", wanted), max(least, _MOST_ITEMS))
        rest = schema.get("contains", schema.get("items", True))
        if rest is False:
            wanted = min(wanted, len(first))
        spread = 1 if schema.get("uniqueItems") else 0
        return [
            self.make(first[at] if at < len(first) else rest, depth + 1, at * spread)
            for at in range(wanted)
        ]


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that asks for what both ask for."""
    merged = {**one, **other}
    for name in ("properties", "$defs"):
        if isinstance(one.get(name), Mapping) and isinstance(other.get(name), Mapping):
            merged[name] = {**one[name], **other[name]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    for names, pick in (
        (("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
        (("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
    ):
        for name in names:
            if name in one and name in other:
                merged[name] = pick(one[name], other[name])
    if isinstance(one.get("enum"), list) and isinstance(other.get("enum"), list):
        merged["enum"] = [value for value in one["enum"] if value in other["enum"]]
    return merged


def _kind(schema: Mapping[str, Any], depth: int) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds
    if isinstance(kinds, list) and kinds:
        if "null" in kinds and depth >= _DEEPEST // 2:
            return "null"
        return str(next((kind for kind in kinds if kind != "null"), "null"))
    return next((kind for kind, hints in _HINTS if any(hint in schema for hint in hints)), "string")


def _plain(kind: str, schema: Mapping[str, Any], nth: int) -> Any:
    match kind:
        case "integer":
            return int(_number(schema, 1, nth))
        case "number":
            return _number(schema, None, nth)
        case "boolean":
            return nth % 2 == 1
        case "null":
            return None
        case _:
            return _text(schema, nth)


def _number(schema: Mapping[str, Any], whole: int | None, nth: int) -> Any:
    step = schema.get("multipleOf") or whole or 1
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)
    below = schema.get("exclusiveMaximum", math.inf)
    least = max(low, above)
    if least == -math.inf:
        most = min(high, below)
        start = math.floor(min(most, step) / step) * step
        start -= step if start >= below else 0
        return start - nth * step
    start = math.ceil(least / step) * step
    start += step if start <= above else 0
    if start > high or start >= below:  # no multiple of 1 lies between the bounds
        start = (least + min(high, below)) / 2 if whole is None else start
    return start + nth * step


def _text(schema: Mapping[str, Any], nth: int) -> str:
    if isinstance(pattern := schema.get("pattern"), str):
        found = sample(pattern)
        if found is not None:
            return found
    text = _FORMATS.get(str(schema.get("format")), _TEXT) + (str(nth) if nth else "")
    text = text.ljust(min(schema.get("minLength", 0), _MOST_LETTERS), "x")
    return text[: schema.get("maxLength", len(text))]
