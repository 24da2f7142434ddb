"""Counting Gemini bodies locally."""

import asyncio
import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.protocols.dialects import Dialect
from meterway.tokens.service import TokenCounter
from meterway.tokens.types import TokenSource
from tests.fakes.local_counting import LocalCounting
from tests.tokens.test_images import png


async def count(model: str = "gemini-2.5-flash", dialect: Dialect = Dialect.GEMINI, **body):
    counter = TokenCounter(LocalCounting())
    try:
        return await counter.count_messages(dialect, model, decode_top(json.dumps(body).encode()))
    finally:
        await counter.close()


def says(*parts, role="user"):
    return {"role": role, "parts": list(parts)}


async def test_the_same_words_cost_the_same_in_every_dialect():
    turns = [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi."}]
    gemini = [says({"text": "Hello there"}), says({"text": "Hi."}, role="model")]

    for model in ("claude-opus-5", "gpt-4o", "gemini-2.5-flash"):
        theirs = await count(model, Dialect.ANTHROPIC_MESSAGES, messages=turns)
        assert await count(model, contents=gemini) == theirs


async def test_claude_is_exact_for_a_client_of_gemini_too():
    found = await count(
        "claude-3-opus",
        contents=[says({"text": "Hello, Claude"})],
        systemInstruction={"parts": [{"text": "You are a scientist"}]},
    )

    assert (found.tokens, found.source) == (14, TokenSource.EXACT)


async def test_pictures_calls_results_and_tools_are_counted():
    words = await count("claude-opus-5", contents=[says({"text": "see"})])
    data = base64.b64encode(png(1000, 1000)).decode()
    seen = await count(
        "claude-opus-5",
        contents=[says({"text": "see"}, {"inlineData": {"mimeType": "image/png", "data": data}})],
    )
    call = {"functionCall": {"name": "f", "args": {"city": "Paris", "days": 3}}}
    result = {"functionResponse": {"name": "f", "response": {"output": "rain"}}}
    turns = [says({"text": "see"}), says(call, role="model"), says(result)]
    declared = [{"name": "f", "description": "Weather", "parametersJsonSchema": {"type": "object"}}]
    called = await count("claude-opus-5", contents=turns)
    tooled = await count(
        "claude-opus-5",
        contents=turns,
        tools=[{"functionDeclarations": declared}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    )

    assert seen.tokens > words.tokens + 1296
    assert words.tokens < called.tokens < tooled.tokens
    assert tooled.source is TokenSource.ESTIMATE


async def test_another_body_is_not_taken_for_one_seen_before():
    counter = TokenCounter(LocalCounting())
    bodies = [
        {"contents": [says({"text": "a"})]},
        {"contents": [says({"text": "a"})], "systemInstruction": {"parts": [{"text": "b c d"}]}},
        {"contents": [says({"text": "a b c d e f"})]},
    ]

    found = [
        (await counter.count_messages(Dialect.GEMINI, "gpt-4o", decode_top(json.dumps(b).encode())))
        for b in bodies
    ]

    assert len({one.tokens for one in found}) == 3
    await counter.close()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{}]}, "contents.0.parts"),
        ({"contents": [says({"text": 1})]}, "contents.0.parts.0.text"),
        ({"contents": [says({"text": "x"})], "tools": [{"functionDeclarations": [{}]}]},
         "tools.0.functionDeclarations.0.name"),
    ],
)  # fmt: skip
async def test_what_matters_and_cannot_be_read_is_refused_by_name(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        await count(**body)

    assert refusal.value.param == param


KEYS = st.sampled_from(["text", "role", "parts", "mimeType", "data", "name", "args", "mode"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
PART = st.dictionaries(
    st.sampled_from(
        ["text", "thought", "inlineData", "fileData", "functionCall", "functionResponse", "?"]
    ),
    JSON,
    max_size=2,
)
CONTENT = st.fixed_dictionaries(
    {"parts": st.lists(PART, max_size=3) | JSON}, optional={"role": JSON}
)
BODY = st.fixed_dictionaries(
    {"contents": st.lists(CONTENT, max_size=3) | JSON},
    optional={
        "systemInstruction": CONTENT | JSON,
        "tools": JSON | st.lists(st.dictionaries(st.just("functionDeclarations"), JSON)),
        "toolConfig": JSON | st.dictionaries(st.just("functionCallingConfig"), JSON),
    },
)


@settings(max_examples=100, deadline=None)
@given(body=BODY, model=st.sampled_from(["claude-opus-5", "gemini-2.5-pro"]))
def test_any_json_is_counted_or_refused_by_name(body, model):
    async def attempt():
        try:
            return await count(model, **body)
        except InvalidRequestError as error:
            return error

    found = asyncio.run(attempt())

    assert found.param if isinstance(found, InvalidRequestError) else found.tokens > 0
