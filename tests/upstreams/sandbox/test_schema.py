"""Values made for JSON schemas, judged by a small validator written apart from the maker."""

import re

import pytest

from meterway.upstreams.sandbox.patterns import sample
from meterway.upstreams.sandbox.schema import BadSchemaError, instance

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value, schema, root=None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].split("/")[1:]:
            target = target[step]
        if not fits(value, target, root):
            return False
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(
        isinstance(value, TYPES[kind])
        and not (isinstance(value, bool) and kind in {"integer", "number"})
        for kind in kinds
    ):
        return False
    checks = [
        "const" not in schema or value == schema["const"],
        value in schema.get("enum", [value]),
        all(fits(value, part, root) for part in schema.get("allOf", [])),
        any(fits(value, part, root) for part in schema.get("anyOf", [True])),
        "oneOf" not in schema or sum(fits(value, part, root) for part in schema["oneOf"]) == 1,
    ]
    return all(checks) and all(_fits_by_kind(value, schema, root))


def _fits_by_kind(value, schema, root) -> list[bool]:
    checks = []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        checks += [
            set(schema.get("required", [])) <= set(value),
            len(value) >= schema.get("minProperties", 0),
            all(fits(each, known.get(name, more), root) for name, each in value.items()),
        ]
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        checks += [
            schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)),
            not schema.get("uniqueItems") or len({repr(each) for each in value}) == len(value),
            all(fits(e, s, root) for e, s in zip(value, first, strict=False)),
            all(fits(each, schema.get("items", True), root) for each in value[len(first) :]),
        ]
    if isinstance(value, str):
        checks += [
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)),
            bool(re.search(schema.get("pattern", ""), value)),
        ]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        checks += [
            schema.get("minimum", value) <= value <= schema.get("maximum", value),
            "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"],
            "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"],
            value % schema.get("multipleOf", 1) == 0 or "multipleOf" not in schema,
        ]
    return checks


FITTING = [
    {"type": "string"},
    {"type": "string", "minLength": 30},
    {"type": "string", "maxLength": 3},
    {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
    {"type": "string", "pattern": r"^(red|green)[^a-z0]+\.x?$"},
    {"type": "string", "enum": ["b", "a"]},
    {"const": {"a": [1]}},
    {"type": "integer"},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 7},
    {"type": "integer", "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.25, "maximum": 0.5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": ["null", "boolean"]},
    {"type": "null"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "null"}, {"type": "integer"}], "items": False},
    {"type": "array", "maxItems": 0},
    {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"a": {"type": "null"}}, "minProperties": 3},
    {"type": "object", "required": ["free"], "additionalProperties": {"type": "integer"}},
    {"properties": {"hinted": {"minimum": 4}}, "required": ["hinted"]},
    {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 2}]},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    {"allOf": [{"type": "integer", "minimum": 3}, {"minimum": 8}, {"maximum": 9}]},
    {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string"}},
        "allOf": [{"required": ["b"], "properties": {"b": {"type": "boolean"}}}],
    },
    {
        "$defs": {"step": {"type": "object", "required": ["n"], "properties": {"n": {"const": 1}}}},
        "type": "object",
        "required": ["steps"],
        "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
    },
    {
        "$defs": {
            "node": {
                "type": "object",
                "required": ["next"],
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            }
        },
        "$ref": "#/$defs/node",
    },
]


@pytest.mark.parametrize("schema", FITTING, ids=str)
def test_the_value_fits_its_schema(schema):
    assert fits(instance(schema), schema)


@pytest.mark.parametrize("schema", FITTING, ids=str)
def test_the_same_schema_gives_the_same_value(schema):
    assert instance(schema) == instance(schema)


def test_optional_properties_are_left_out():
    schema = {"type": "object", "properties": {"dangerous": {"type": "boolean"}}}

    assert instance(schema) == {}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("date", r"\d{4}-\d\d-\d\d"),
        ("date-time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("email", r"[^@]+@[^@]+\.[a-z]+"),
        ("uuid", r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
        ("ipv4", r"(\d+\.){3}\d+"),
        ("uri", r"https://.+"),
    ],
)
def test_formats_are_kept(name, pattern):
    assert re.fullmatch(pattern, instance({"type": "string", "format": name}))


@pytest.mark.parametrize(
    "schema",
    [True, False, {}, {"foo": "bar"}, {"type": "object", "properties": {"a": "bar"}}, "bar", None],
    ids=str,
)
def test_schemas_that_say_little_are_no_error(schema):
    instance(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": "five"},
        {"type": "array", "minItems": "x"},
        {"type": "number", "minimum": 1, "multipleOf": "x"},
        {"type": "string", "minLength": []},
        {"anyOf": 5},
    ],
    ids=str,
)
def test_keywords_of_the_wrong_type_are_named_as_such(schema):
    with pytest.raises(BadSchemaError, match="not valid"):
        instance(schema)


def test_branching_references_end():
    names = [f"child{number}" for number in range(10)]
    schema = {
        "type": "object",
        "required": names,
        "properties": {name: {"$ref": "#"} for name in names},
    }

    assert set(instance(schema)) == set(names)


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/no/where"}, {"$ref": "https://x"}])
def test_references_to_nowhere_end(schema):
    instance(schema)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^abc$",
        r"[a-z]+\d*",
        r"^[A-Z]{2}\d{3,5}$",
        r"^(?:foo|bar)-\w+$",
        r"(a|b)?c",
        r"^\S+@\S+$",
        r"^a$|^b$",
        r"[^\s]",
        r"[-_.]",
        r"[\]\-x]",
        r"\\\.\$",
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}$",
        r"a+?b*?",
        r"",
    ],
)
def test_a_sample_matches_its_pattern(pattern):
    text = sample(pattern)

    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=x)y",
        r"(x+x+)+$yx{30}",
        r"a\b",
        r"\1",
        r"(",
        r"a)",
        r"[a",
        r"[]",
        "(" * 100 + ")" * 100,
        r"a{900}" * 200,
        r"((a{99}){99}){99}",
        r"*",
        r"x{",
        "\\",
    ],
)
def test_what_takes_a_solver_has_no_sample(pattern):
    assert sample(pattern) is None


def test_a_pattern_without_sample_leaves_some_text():
    assert isinstance(instance({"type": "string", "pattern": "(?=x)y"}), str)
