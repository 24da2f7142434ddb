"""Names in camel case and in snake case mean the same."""

import json

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.protocols.chat.gemini import GEMINI, canonical

CAMEL = {
    "model": "m",
    "contents": [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"mime_type": 1.0}}, "thoughtSignature": "c"}
            ],
        },
        {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
    ],
    "systemInstruction": {"parts": [{"text": 'Say "top_k": 1'}]},
    "generationConfig": {"topK": 5, "thinkingConfig": {"thinkingBudget": 0}},
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "parameters": {"type": "OBJECT", "properties": {"top_k": {"minItems": 1}}},
                },
                {"name": "g", "parametersJsonSchema": {"properties": {"any_of": {}}}},
            ]
        }
    ],
}
SNAKE = {
    "model": "m",
    "contents": [
        {
            "role": "model",
            "parts": [
                {
                    "function_call": {"name": "f", "args": {"mime_type": 1.0}},
                    "thought_signature": "c",
                }
            ],
        },
        {"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
    ],
    "system_instruction": {"parts": [{"text": 'Say "top_k": 1'}]},
    "generation_config": {"top_k": 5, "thinking_config": {"thinking_budget": 0}},
    "tools": [
        {
            "function_declarations": [
                {
                    "name": "f",
                    "parameters": {"type": "OBJECT", "properties": {"top_k": {"min_items": 1}}},
                },
                {"name": "g", "parameters_json_schema": {"properties": {"any_of": {}}}},
            ]
        }
    ],
}


def test_both_spellings_read_the_same():
    camel, snake = (decode_top(json.dumps(body).encode()) for body in (CAMEL, SNAKE))

    assert json.loads(b"{%b}" % b",".join(
        b'"%b":%b' % (name.encode(), bytes(value)) for name, value in canonical(snake).items()
    )) == CAMEL  # fmt: skip
    assert GEMINI.decode_request(camel).tools[1] == GEMINI.decode_request(snake).tools[1]
    assert GEMINI.decode_request(camel).sampling == GEMINI.decode_request(snake).sampling


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"generationConfig": {}, "generation_config": {}}, "generationConfig"),
        ({"generationConfig": {"topK": 1, "top_k": 2}}, "generationConfig.topK"),
    ],
)
def test_a_field_given_in_both_is_refused(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        GEMINI.facts(decode_top(json.dumps({"model": "m", **body}).encode()))

    assert refusal.value.param == param


def test_what_is_nested_too_deeply_is_refused():
    deep = (
        b'{"model":"m","generationConfig":' + b'{"a":' * 100_000 + b'{"top_k":1}' + b"}" * 100_001
    )

    with pytest.raises(InvalidRequestError):
        GEMINI.facts(decode_top(deep))
