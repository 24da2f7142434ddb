"""Requests no sane client sends: the sandbox refuses them as a vendor does, and never breaks."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.upstreams.sandbox.wire import CHAT, MESSAGES, PATHS, Wire, asking, tool

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
ODD: list[object] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\x00",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"type": []},
    [1],
]
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FULL = {
    "openai": {
        "model": "sandbox/echo",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "c", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "a", "content": "r"},
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
        ],
        "tools": [tool("openai", "f", {"type": "object"})],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stream": False,
        "stream_options": {"include_usage": True},
        "max_tokens": 10,
        "n": 1,
        "stop": ["a"],
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        "parallel_tool_calls": True,
        "service_tier": "auto",
    },
    "anthropic": {
        "model": "sandbox/echo",
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
        "tools": [tool("anthropic", "f", {"type": "object"})],
        "tool_choice": {"type": "tool", "name": "f"},
        "stream": False,
        "stop_sequences": ["a"],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    },
}


def _places(value, at=()):
    yield at
    inner: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, child in inner:
        yield from _places(child, (*at, key))


def _with(value, at, odd):
    if not at:
        return odd
    copied = json.loads(json.dumps(value))
    parent = copied
    for key in at[:-1]:
        parent = parent[key]
    parent[at[-1]] = odd
    return copied


@BOTH
async def test_a_value_of_the_wrong_type_anywhere_is_answered_or_refused(dialect):
    wire, statuses = Wire(), set()

    for at in _places(FULL[dialect]):
        for odd in ODD:
            response = await wire.send(PATHS[dialect], _with(FULL[dialect], at, odd))
            assert await response.read(10_000_000)
            statuses.add(response.status)

    assert statuses == {200, 400}


@pytest.mark.parametrize("field", ["n", "top_logprobs"])
async def test_a_reply_is_not_multiplied_beyond_the_vendors_limit(field):
    body = asking("openai", logprobs=True, **{field: 10**9})

    response = await Wire().send(CHAT, body)

    assert response.status == 400
    assert field in json.loads(await response.read(1000))["error"]["message"]


async def test_an_anthropic_thinking_of_no_known_type_does_not_think():
    body = asking("anthropic", thinking={"type": ["enabled"]})

    reply = await Wire().whole(MESSAGES, body)

    assert [block.type for block in reply.content] == ["text"]
