"""Clients' requests: Google's wire to the neutral form."""

import json
from typing import Any

import msgspec
import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.chat.wording import words_of
from meterway.protocols.errors import UnsupportedContentError
from tests.protocols.chat.gemini.signed import by_google

HI = [{"role": "user", "parts": [{"text": "Hi"}]}]


def decode(**body: Any) -> neutral.Request:
    fields = {"model": "gemini-2.5-flash", "contents": HI, **body}
    return GEMINI.decode_request(decode_top(json.dumps(fields).encode()))


def parts(*given: Any, role: str = "user") -> tuple[neutral.AnyPart, ...]:
    return decode(contents=[{"role": role, "parts": list(given)}]).messages[0].parts


def test_a_turn_without_a_role_is_the_users():
    request = decode(contents=[{"parts": [{"text": "Hi"}]}])

    assert request.messages == (
        neutral.Message(
            role=neutral.Role.USER,
            parts=(neutral.Text(text="Hi", path="contents[0].parts[0]"),),
            path="contents[0]",
        ),
    )


def test_every_knob_has_its_word():
    config = {
        "maxOutputTokens": 100, "temperature": 0.5, "topP": 0.9, "topK": 40, "seed": 7,
        "stopSequences": ["END"], "candidateCount": 2, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 3,
    }  # fmt: skip

    assert decode(generationConfig=config).sampling == neutral.Sampling(
        max_tokens=100, temperature=0.5, top_p=0.9, top_k=40, seed=7, stop=("END",), n=2,
        presence_penalty=0.1, frequency_penalty=0.2, logprobs=True, top_logprobs=3,
    )  # fmt: skip


def test_numbers_may_come_as_strings():
    request = decode(generationConfig={"maxOutputTokens": "100", "topK": 40.0})

    assert (request.sampling.max_tokens, request.sampling.top_k) == (100, 40)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"thinkingBudget": 0}, neutral.Reasoning(mode="disabled")),
        ({"thinkingBudget": -1}, neutral.Reasoning(mode="adaptive")),
        ({"thinkingBudget": 512}, neutral.Reasoning(mode="enabled", budget_tokens=512)),
        ({"thinkingLevel": "LOW"}, neutral.Reasoning(effort="low")),
        ({"includeThoughts": True}, neutral.Reasoning(mode="adaptive")),
        ({"includeThoughts": False}, None),
    ],
)
def test_thinking_is_asked_for(config, expected):
    assert decode(generationConfig={"thinkingConfig": config}).reasoning == expected


def test_tools_of_both_schema_languages_are_read():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    google = {
        "type": "OBJECT",
        "properties": {
            "any_of": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "n": {"type": "ARRAY", "items": {"type": "INTEGER"}, "maxItems": "5"},
        },
        "propertyOrdering": ["n", "any_of"],
        "required": ["n"],
    }
    declared = [
        {"name": "f", "description": "d", "parametersJsonSchema": schema},
        {"name": "g", "parameters": google},
    ]

    first, second = decode(tools=[{"functionDeclarations": declared}]).tools

    assert isinstance(first, neutral.FunctionTool)
    assert isinstance(second, neutral.FunctionTool)
    assert first.parameters is not None
    assert second.parameters is not None
    assert msgspec.json.decode(first.parameters) == schema
    assert msgspec.json.decode(second.parameters) == {
        "type": "object",
        "properties": {
            "any_of": {"type": ["string", "null"], "enum": ["x", None]},
            "n": {"type": "array", "items": {"type": "integer"}, "maxItems": 5},
        },
        "required": ["n"],
    }
    assert first.path == "tools[0].functionDeclarations[0]"


def test_a_vendors_tool_keeps_its_kind():
    request = decode(tools=[{"googleSearch": {}}, {"codeExecution": {}}])

    assert [tool.kind for tool in request.tools if isinstance(tool, neutral.BuiltinTool)] == [
        "googleSearch",
        "codeExecution",
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mode": "AUTO"}, neutral.ToolChoice(mode="auto")),
        ({"mode": "ANY"}, neutral.ToolChoice(mode="required")),
        ({"mode": "NONE"}, neutral.ToolChoice(mode="none")),
        ({"mode": "VALIDATED"}, neutral.ToolChoice(mode="auto")),
        (
            {"mode": "any", "allowedFunctionNames": ["f"]},
            neutral.ToolChoice(mode="named", name="f"),
        ),
        ({}, None),
    ],
)
def test_the_choice_of_tools_is_read(config, expected):
    assert decode(toolConfig={"functionCallingConfig": config}).tool_choice == expected


def test_calls_and_results_are_paired_by_id_and_without():
    request = decode(
        contents=[
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "f", "args": {"a": 2}, "id": "two"}},
                    {"functionCall": {"name": "g"}},
                ],
            },
            {
                "parts": [
                    {"functionResponse": {"name": "g", "response": {"x": 1}}},
                    {"functionResponse": {"name": "f", "id": "two", "response": {"error": "no"}}},
                    {"functionResponse": {"name": "f", "response": {"output": "yes"}}},
                ],
            },
        ]
    )

    calls, results = request.messages[0].parts, request.messages[1].parts
    assert [
        (c.id, c.name, c.arguments, c.signature) for c in calls if isinstance(c, neutral.ToolCall)
    ] == [
        ("call_0_0", "f", '{"a": 1}', "c2ln"),
        ("two", "f", '{"a": 2}', None),
        ("call_0_2", "g", "{}", None),
    ]
    told = [r for r in results if isinstance(r, neutral.ToolResult)]
    assert [(r.call_id, r.is_error) for r in told] == [
        ("call_0_2", False),
        ("two", True),
        ("call_0_0", False),
    ]
    assert [one.text for r in told for one in r.content if isinstance(one, neutral.Text)] == [
        '{"x": 1}',
        "no",
        "yes",
    ]


def test_a_result_without_a_call_is_refused():
    with pytest.raises(InvalidRequestError) as refusal:
        parts({"functionResponse": {"name": "f", "response": {}}})

    assert refusal.value.param == "contents[0].parts[0].functionResponse"


def test_results_stand_before_other_parts():
    found = parts(
        {"text": "So?"}, {"functionResponse": {"name": "f", "id": "a", "response": {"output": "1"}}}
    )

    assert [type(part) for part in found] == [neutral.ToolResult, neutral.Text]


def test_media_by_bytes_and_by_address():
    found = parts(
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/mpeg", "data": "BBBB"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "CCCC"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/a.png"}},
    )

    assert found == (
        neutral.Image(source=sources.DataSource("image/png", "AAAA"), path="contents[0].parts[0]"),
        neutral.Audio(data="BBBB", format="mp3", path="contents[0].parts[1]"),
        neutral.Document(
            source=sources.DataSource("application/pdf", "CCCC"), path="contents[0].parts[2]"
        ),
        neutral.Image(
            source=sources.UrlSource("https://example.org/a.png"), path="contents[0].parts[3]"
        ),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
    ],
)
def test_what_only_google_understands_is_kept_to_be_refused_by_name(part):
    (found,) = parts(part)

    assert isinstance(found, neutral.Foreign)
    assert found.kind in part
    assert msgspec.json.decode(found.raw) == part


def test_thoughts_of_several_chunks_are_one_until_a_signature_ends_them():
    found = parts(
        {"text": "Hm, ", "thought": True},
        {"text": "yes.", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "Next", "thought": True},
        {"text": "Answer.", "thoughtSignature": "c2ln"},
        role="model",
    )

    assert [
        (type(part), words_of(part.text), getattr(part, "signature", None))
        for part in found
        if isinstance(part, neutral.Text | neutral.Thinking)
    ] == [
        (neutral.Thinking, "Hm, yes.", by_google("c2ln")),
        (neutral.Thinking, "Next", None),
        (neutral.Text, "Answer.", None),
        (neutral.Thinking, "", by_google("c2ln")),
    ]


def test_output_is_json_by_schema_or_any():
    schema = {"type": "object"}
    form = {"responseMimeType": "application/json"}

    assert decode(generationConfig=form).output == neutral.JsonObject()
    for name, given in (("responseJsonSchema", schema), ("responseSchema", {"type": "OBJECT"})):
        output = decode(generationConfig={**form, name: given}).output
        assert isinstance(output, neutral.JsonSchema)
        assert msgspec.json.decode(output.schema) == schema


def json_schema_of(schema: Any) -> bytes:
    form = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    output = decode(generationConfig=form).output
    assert isinstance(output, neutral.JsonSchema)
    declared = [{"name": "f", "parametersJsonSchema": schema}]
    [tool] = decode(tools=[{"functionDeclarations": declared}]).tools
    assert isinstance(tool, neutral.FunctionTool)
    assert tool.parameters == output.schema
    return bytes(output.schema)


def test_types_in_googles_capitals_are_read_in_a_json_schema_too():
    found = json_schema_of(
        {
            "type": "OBJECT",
            "$defs": {"type": {"type": ["STRING", "NULL"]}},
            "properties": {
                "type": {"type": "STRING", "enum": ["OBJECT"], "default": {"type": "OBJECT"}},
                "enum": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}]}},
                "odd": {"type": "TUPLE", "nullable": True},
            },
        }
    )

    assert msgspec.json.decode(found) == {
        "type": "object",
        "$defs": {"type": {"type": ["string", "null"]}},
        "properties": {
            "type": {"type": "string", "enum": ["OBJECT"], "default": {"type": "OBJECT"}},
            "enum": {"type": "array", "items": {"anyOf": [{"type": "integer"}]}},
            "odd": {"type": "TUPLE", "nullable": True},
        },
    }


def test_a_json_schema_without_googles_capitals_is_read_byte_for_byte():
    schema = {"type": "number", "enum": ["OBJECT", 1.0], "maximum": 12345678901234567890}

    assert json_schema_of(schema) == json.dumps(schema).encode()


def test_a_json_schema_nested_too_deeply_is_refused_by_its_place():
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(400):
        schema = {"anyOf": [schema]}
    declared = [{"name": "f", "parametersJsonSchema": schema}]

    with pytest.raises(InvalidRequestError) as refusal:
        decode(tools=[{"functionDeclarations": declared}])

    assert refusal.value.param == "tools[0].functionDeclarations[0].parametersJsonSchema"


def test_what_the_neutral_form_has_no_word_for_is_named():
    request = decode(
        safetySettings=[],
        labels={"a": "b"},
        generationConfig={"responseModalities": ["TEXT"], "mediaResolution": "LOW"},
        toolConfig={"retrievalConfig": {}, "functionCallingConfig": {"mode": "AUTO"}},
        contents=[{"parts": [{"text": "x", "videoMetadata": {"fps": 1}}]}],
        serviceTier="flex",
        unheard=None,
    )

    assert set(request.extra) == {
        "safetySettings",
        "labels",
        "generationConfig.responseModalities",
        "generationConfig.mediaResolution",
        "toolConfig.retrievalConfig",
        "contents[0].parts[0].videoMetadata",
    }
    assert request.service_tier == "flex"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "user"}]}, "contents[0].parts"),
        ({"contents": [{"role": "boss", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"inlineData": {"data": "A"}}]}]},
         "contents[0].parts[0].inlineData.mimeType"),
        ({"generationConfig": {"topP": "high"}}, "generationConfig.topP"),
        ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts[0]"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MUST"}}},
         "toolConfig.functionCallingConfig.mode"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        decode(**body)

    assert refusal.value.param == param


def test_facts_are_read_without_the_rest():
    body = {
        "model": "gemini-2.5-pro", "stream": True, "contents": "unread", "service_tier": "STANDARD",
        "generation_config": {"max_output_tokens": 50, "candidateCount": 3},
    }  # fmt: skip

    facts = GEMINI.facts(decode_top(json.dumps(body).encode()))

    assert (facts.model, facts.stream, facts.max_tokens) == ("gemini-2.5-pro", True, 50)
    assert (facts.choices, facts.service_tier) == (3, "default")


def test_media_and_vendors_tools_are_measured():
    data = "A" * 10_000
    body = {
        "model": "m",
        "contents": [
            {
                "parts": [
                    {"text": "look"},
                    {"inlineData": {"mimeType": "image/png", "data": data}},
                    {"inline_data": {"mime_type": "application/pdf", "data": data}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
                    {"fileData": {"fileUri": "https://example.org/film"}},
                    {
                        "functionResponse": {
                            "name": "f",
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": data}}],
                        }
                    },
                ]
            }
        ],
        "tools": [{"googleSearch": {}, "functionDeclarations": []}, {"urlContext": {}}],
    }

    sizes = GEMINI.sizes(decode_top(json.dumps(body).encode()))

    assert (sizes.images, sizes.documents, sizes.sounds, sizes.tools) == (2, 2, 1, 2)
    assert sizes.text is not None
    assert sizes.text < 1_000


@pytest.mark.parametrize("body", [{"contents": 5}, {"cachedContent": "cachedContents/1"}])
def test_what_cannot_be_measured_has_no_bound(body):
    assert GEMINI.sizes(decode_top(json.dumps(body).encode())).text is None


def test_content_kept_by_google_is_refused_by_name():
    with pytest.raises(UnsupportedContentError) as refusal:
        decode(cachedContent="cachedContents/1")

    assert refusal.value.param == "cachedContent"


@pytest.mark.parametrize("mode", ["ANY", "VALIDATED"])
def test_functions_that_may_not_be_called_are_not_offered(mode: str):
    tools = [{"functionDeclarations": [{"name": name} for name in "fgh"]}]
    calling = {"mode": mode, "allowedFunctionNames": ["f", "h"]}

    request = decode(tools=tools, toolConfig={"functionCallingConfig": calling})

    assert [tool.name for tool in request.tools if isinstance(tool, neutral.FunctionTool)] == [
        "f",
        "h",
    ]
    assert request.extra == {}


def test_an_allowed_function_nobody_declared_is_refused():
    calling = {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}

    with pytest.raises(InvalidRequestError) as refusal:
        decode(
            tools=[{"functionDeclarations": [{"name": "f"}]}],
            toolConfig={"functionCallingConfig": calling},
        )

    assert refusal.value.param == "toolConfig.functionCallingConfig.allowedFunctionNames"
