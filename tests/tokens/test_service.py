"""Counting request bodies: golden figures, memory, one flight for many, and failure."""

import asyncio
import base64
import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.protocols.dialects import Dialect
from meterway.tokens.errors import CounterDownError
from meterway.tokens.service import TokenCounter
from meterway.tokens.types import Count, TokenSource, estimate
from tests.fakes.local_counting import LocalCounting
from tests.tokens.test_images import png

ANTHROPIC, OPENAI = Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_CHAT
EXACT, ESTIMATE = TokenSource.EXACT, TokenSource.ESTIMATE
WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather in a given location",
    "input_schema": {
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            }
        },
        "required": ["location"],
    },
}
RESULT = {
    "name": "final_result",
    "description": "The final response which ends this conversation",
    "input_schema": {
        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
        "required": ["city", "country"],
        "type": "object",
    },
}


class FakeCounting:
    """One token per character; remembers what it was asked, may be held back or down."""

    def __init__(self):
        self.asked = []
        self.open = asyncio.Event()
        self.open.set()
        self.down = False

    async def count(self, tokenizer, texts):
        self.asked.append(texts)
        await self.open.wait()
        if self.down:
            raise CounterDownError("down")
        return [len(text) for text in texts]

    async def close(self):
        pass


def top(body):
    return decode_top(json.dumps(body).encode())


def said(*contents):
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": c} for at, c in enumerate(contents)]


async def count(model, *, dialect=ANTHROPIC, counting=None, **body):
    counter = TokenCounter(counting or LocalCounting())
    try:
        return await counter.count_messages(dialect, model, top(body))
    finally:
        await counter.close()


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        ("claude-3-opus", {"messages": said("Say test")}, Count(9, EXACT)),
        (
            "claude-3-opus-20240229",
            {"system": "You are a scientist", "messages": said("Hello, Claude")},
            Count(14, EXACT),
        ),
        (
            "claude-3-opus",
            {"messages": said("Say test"), "stream": 5, "max_tokens": "x", "new": [1], "top_k": {}},
            Count(9, EXACT),
        ),
        (
            "claude-opus-4-8",
            {"messages": said("What is 2+2?"), "thinking": {"type": "adaptive"}},
            Count(13, EXACT),
        ),
        (
            "claude-opus-4-6",
            {"messages": said("What is 2+2?"), "thinking": {"type": "adaptive"}},
            Count(31, ESTIMATE),
        ),
        (
            "claude-3-7-sonnet-latest",
            {
                "messages": said("How do I cross the street?"),
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
            Count(42, ESTIMATE),
        ),
        (
            "claude-opus-4-6",
            {
                "messages": said([{"type": "text", "text": "What is the capital of France?"}]),
                "tools": [RESULT],
                "tool_choice": {"type": "any"},
            },
            Count(671, ESTIMATE),
        ),
    ],
)
async def test_bodies_count_as_the_real_endpoint_counts_them(model, body, expected):
    assert await count(model, **body) == expected


async def test_a_tool_costs_what_the_documentation_says_to_one_token():
    messages = said("What's the weather like in San Francisco?")

    found = await count("claude-sonnet-4-20250514", messages=messages, tools=[WEATHER])

    assert abs(found.tokens - 403) <= 1
    assert found.source is ESTIMATE


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("claude-sonnet-4-5", (1000, 1000), 1296),
        ("claude-sonnet-4-5", (1920, 1080), 1560),
        ("claude-opus-4-7", (1920, 1080), 2691),
        ("claude-sonnet-4-5", (200, 200), 64),
    ],
)
async def test_claude_images_cost_their_patches(model, size, tokens):
    data = base64.b64encode(png(*size)).decode()
    image = {"type": "image", "source": {"type": "base64", "data": data}}
    frame = 7 if model.endswith("4-5") else 12

    found = await count(model, messages=said([image]))

    assert found == Count(frame + tokens + 3, EXACT)


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o-mini", (512, 512), "high", 2833 + 5667),
        ("gpt-5", (512, 512), "auto", 210),
        ("gpt-4.1-mini", (1024, 1024), "auto", 1659),
        ("o4-mini", (1800, 2400), "auto", 2498),
    ],
)
async def test_openai_images_cost_their_tiles_or_patches(model, size, detail, tokens):
    url = "data:image/png;base64," + base64.b64encode(png(*size)).decode()
    part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
    frame = 7 if model.startswith("gpt-4") else 9

    found = await count(model, dialect=OPENAI, messages=said([part]))

    assert found == Count(frame + tokens, EXACT)


async def test_an_image_behind_a_url_is_estimated_and_never_fetched():
    image = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:1/x.png"}}

    found = await count("claude-sonnet-4-5", messages=said([image]))

    assert found.source is ESTIMATE
    assert found.tokens > 1000


async def test_messages_and_blocks_add_their_joins():
    texts = [{"type": "text", "text": "aa"}, {"type": "text", "text": "bbb"}]
    same = [*said("c", texts), {"role": "assistant", "content": "d"}]

    counts = [
        await count(model, counting=FakeCounting(), messages=same)
        for model in ("claude-3-opus", "claude-opus-4-7", "claude-opus-5")
    ]

    assert [c.tokens for c in counts] == [7 + 7 + 1 + 3 + 1, 12 + 7 + 1 + 3 + 1, 6 + 7 + 1 + 2 + 1]


@pytest.mark.parametrize(
    ("choice", "tokens"), [("auto", 313), ("none", 313), ("any", 315), ("tool", 321)]
)
async def test_the_tool_choice_decides_the_cost_of_having_tools(choice, tokens):
    body = {"messages": said("a"), "tools": [{"name": "n", "input_schema": {}}]}
    text = '<function>{"description": "", "name": "n", "parameters": {}}</function>'

    found = await count(
        "claude-sonnet-4",
        counting=FakeCounting(),
        tool_choice={"type": choice, "name": "n"},
        **body,
    )

    assert found.tokens == 7 + 1 + tokens + len(text) + 1


@pytest.mark.parametrize(("model", "counted"), [("claude-opus-4-1", 0), ("claude-opus-4-5", 100)])
async def test_thinking_of_earlier_turns_counts_only_where_the_model_keeps_it(model, counted):
    thought = {"type": "thinking", "thinking": "x" * 100, "signature": "s" * 50}
    dialogue = said("a", [thought, {"type": "text", "text": "b"}], "c")

    found = await count(model, counting=FakeCounting(), messages=dialogue)

    assert found.tokens == 7 + 3 + 1 + 6 + counted


async def test_thinking_of_the_running_tool_turn_always_counts():
    thought = {"type": "thinking", "thinking": "x" * 100, "signature": "s"}
    call = {"type": "tool_use", "id": "i", "name": "n", "input": {"k": "v"}}
    result = {"type": "tool_result", "tool_use_id": "i", "content": "r"}

    found = await count(
        "claude-sonnet-4", counting=FakeCounting(), messages=said("a", [thought, call], [result])
    )

    assert found.tokens == 7 + 1 + (1 + 100 + 33 + 1 + 6 + 2) + 1 + 6


async def test_a_pdf_costs_its_pages():
    data = base64.b64encode(b"<< /Type /Pages /Count 3 >>").decode()
    block = {"type": "document", "source": {"type": "base64", "data": data}, "title": "abc"}

    found = await count("claude-sonnet-4-5", counting=FakeCounting(), messages=said([block]))

    assert found == Count(7 + 3 + 3 * 2200, ESTIMATE)


async def test_an_openai_chat_counts_messages_names_and_reply():
    messages = [{"role": "user", "name": "bob", "content": "hi"}, {"role": "user", "content": "ho"}]

    found = [
        await count(m, dialect=OPENAI, counting=FakeCounting(), messages=messages)
        for m in ("gpt-4o", "o3", "deepseek-chat")
    ]

    assert found == [Count(19, EXACT), Count(21, EXACT), Count(21, ESTIMATE)]


async def test_openai_tools_are_counted_as_typescript():
    function = {
        "name": "f",
        "description": "Does",
        "parameters": {
            "properties": {"a": {"type": "array", "items": {"enum": ["x", 1]}}, "b": {}},
            "required": ["a"],
        },
    }
    counting = FakeCounting()

    found = await count(
        "gpt-4o",
        dialect=OPENAI,
        counting=counting,
        messages=said("hi"),
        tools=[{"type": "function", "function": function}],
    )

    text = counting.asked[0][1]
    assert text.splitlines()[2:7] == [
        "// Does",
        "type f = (_: {",
        'a: "x" | 1[],',
        "b?: any,",
        "}) => any;",
    ]
    assert found == Count(3 + 4 + 2 + 3 + len(text), ESTIMATE)


async def test_any_model_counts_in_either_dialect():
    found = [
        await count("gpt-4o", messages=said("Say test")),
        await count(
            "claude-3-opus",
            dialect=OPENAI,
            messages=[
                {"role": "system", "content": "You are a scientist"},
                {"role": "user", "content": "Hello, Claude"},
            ],
        ),
    ]

    assert [c.tokens for c in found] == [9, 14]


@pytest.mark.parametrize(
    ("dialect", "body", "path"),
    [
        (ANTHROPIC, {}, "messages"),
        (ANTHROPIC, {"messages": []}, "messages"),
        (ANTHROPIC, {"messages": "x"}, "messages"),
        (ANTHROPIC, {"messages": [1]}, "messages.0"),
        (ANTHROPIC, {"messages": [{"content": "x"}]}, "messages.0.role"),
        (ANTHROPIC, {"messages": said("a", 5)}, "messages.1.content"),
        (ANTHROPIC, {"messages": said([1])}, "messages.0.content.0"),
        (ANTHROPIC, {"messages": said([{"type": "text"}])}, "messages.0.content.0.text"),
        (ANTHROPIC, {"messages": said([{"type": "image"}])}, "messages.0.content.0.source"),
        (ANTHROPIC, {"messages": said("a"), "system": 5}, "system"),
        (ANTHROPIC, {"messages": said("a"), "tools": {}}, "tools"),
        (ANTHROPIC, {"messages": said("a"), "tools": [{}]}, "tools.0.name"),
        (ANTHROPIC, {"messages": said("a"), "tool_choice": "any"}, "tool_choice"),
        (OPENAI, {"messages": said(None)}, "messages.0.content"),
        (OPENAI, {"messages": said([{"type": "text", "text": 1}])}, "messages.0.content.0.text"),
        (OPENAI, {"messages": said("a"), "tools": [{}]}, "tools.0.function"),
    ],
)
async def test_what_matters_and_is_malformed_is_named_by_its_path(dialect, body, path):
    with pytest.raises(InvalidRequestError) as caught:
        await count("claude-3-opus", dialect=dialect, counting=FakeCounting(), **body)

    assert caught.value.param == path


async def test_a_history_is_counted_once_and_only_the_new_message_later():
    counting = FakeCounting()
    counter = TokenCounter(counting)
    await counter.count_messages(ANTHROPIC, "claude-3-opus", top({"messages": said("a", "b")}))

    again = await counter.count_messages(
        ANTHROPIC, "claude-3-opus", top({"messages": said("a", "b", "new")})
    )

    assert counting.asked == [["a", "b"], ["new"]]
    assert again.tokens == 7 + 5 + 6
    await counter.close()


async def test_a_body_seen_before_is_known_by_what_counts_alone():
    counting = FakeCounting()
    counter = TokenCounter(counting)
    tools = [{"name": "n", "input_schema": {}}]
    body = {"messages": said("a"), "tools": tools, "max_tokens": 5}

    first, same, forced, shorter = [
        await counter.count_messages(ANTHROPIC, "claude-sonnet-4", top(b))
        for b in (
            body,
            {**body, "max_tokens": 6},
            {**body, "tool_choice": {"type": "any"}},
            {"messages": said("a")},
        )
    ]

    assert same is first
    assert (forced.tokens - first.tokens, shorter.tokens) == (2, 8)
    assert len(counting.asked) == 1
    await counter.close()


async def test_a_body_counted_while_the_counter_was_down_is_counted_again():
    counting = FakeCounting()
    counting.down = True
    counter = TokenCounter(counting)
    body = top({"messages": said("x" * 70)})
    down = await counter.count_messages(ANTHROPIC, "claude-3-opus", body)
    counting.down = False

    up = await counter.count_messages(ANTHROPIC, "claude-3-opus", body)

    assert (down, up) == (Count(27, ESTIMATE), Count(77, EXACT))
    await counter.close()


async def test_families_do_not_share_what_they_remember():
    counting = FakeCounting()
    counter = TokenCounter(counting)
    body = top({"messages": said("a")})

    counts = [await counter.count_messages(ANTHROPIC, m, body) for m in ("claude-3-opus", "gpt-4o")]

    assert len(counting.asked) == 2
    assert [c.tokens for c in counts] == [8, 8]
    await counter.close()


async def test_memory_is_bounded():
    counting = FakeCounting()
    counter = TokenCounter(counting, remembered=2)
    for text in ("a", "b", "c", "a"):
        await counter.count_text("claude-3-opus", text)

    assert counting.asked == [["a"], ["b"], ["c"], ["a"]]
    await counter.close()


async def test_concurrent_misses_share_one_flight():
    counting = FakeCounting()
    counting.open.clear()
    counter = TokenCounter(counting)
    body = top({"messages": said("a", "b")})
    calls = [
        asyncio.create_task(counter.count_messages(ANTHROPIC, "claude-3-opus", body))
        for _ in range(20)
    ]
    await asyncio.sleep(0)
    calls[0].cancel()
    counting.open.set()

    counts = await asyncio.gather(*calls[1:])

    assert counting.asked == [["a", "b"]]
    assert {c.tokens for c in counts} == {12}
    await counter.close()


async def test_a_counter_that_is_down_gives_labelled_estimates_that_are_not_remembered():
    counting = FakeCounting()
    counting.down = True
    counter = TokenCounter(counting)
    down = await counter.count_text("claude-3-opus", "x" * 70)
    counting.down = False

    up = await counter.count_text("claude-3-opus", "x" * 70)

    assert (down, up) == (Count(20, ESTIMATE), Count(70, EXACT))
    await counter.close()


async def test_text_beyond_the_cap_is_estimated():
    counter = TokenCounter(FakeCounting(), largest=10)

    counts = [await counter.count_text("claude-3-opus", "x" * n) for n in (10, 70)]

    assert counts == [Count(10, EXACT), Count(20, ESTIMATE)]
    await counter.close()


def test_an_estimate_is_bytes_by_three_and_a_half():
    assert [estimate(n) for n in (0, 1, 7, 70)] == [0, 1, 2, 20]


def test_workers_load_no_tokenizer():
    program = (
        "import sys, meterway.tokens.service, meterway.tokens.remote;"
        "print([m for m in ('tiktoken', 'meterway.tokens.bpe', 'meterway.tokens.claude',"
        " 'meterway.tokens.engines') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


KEYS = st.sampled_from(["type", "data", "url", "name", "function", "input_schema", "parameters"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
BLOCK = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text", "image", "document", "tool_use", "tool_result", "image_url", "file", "?"]
        )
    },
    optional=dict.fromkeys(
        ("text", "source", "input", "name", "content", "image_url", "file"), JSON
    ),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"])},
    optional={"content": st.lists(BLOCK, max_size=3) | JSON, "tool_calls": JSON, "name": JSON},
)
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=3) | JSON},
    optional=dict.fromkeys(("system", "tools", "tool_choice", "thinking"), JSON),
)


@settings(max_examples=150, deadline=None)
@given(
    body=BODY,
    dialect=st.sampled_from([ANTHROPIC, OPENAI]),
    model=st.sampled_from(["claude-opus-5", "o3"]),
)
def test_any_json_is_counted_or_refused_by_name(body, dialect, model):
    async def attempt():
        try:
            return await count(model, dialect=dialect, counting=FakeCounting(), **body)
        except InvalidRequestError as error:
            return error

    found = asyncio.run(attempt())

    assert found.param if isinstance(found, InvalidRequestError) else found.tokens > 0


@pytest.mark.parametrize("depth", [200, 480, 900, 100_000])
@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
async def test_deep_nesting_is_counted_or_refused(depth, dialect):
    deep = b"{" + b'"properties":{"a":{"type":"object",' * depth + b'"x":1' + b"}}" * depth + b"}"
    body = {
        "messages": msgspec.Raw(b'[{"role":"user","content":"a"}]'),
        "tools": msgspec.Raw(
            b'[{"name":"n","function":{"name":"n","parameters":%s},"input_schema":%s}]'
            % (deep, deep)
        ),
    }
    counter = TokenCounter(FakeCounting())

    (found,) = await asyncio.gather(
        counter.count_messages(dialect, "gpt-4o", body), return_exceptions=True
    )

    assert isinstance(found, Count) or (
        isinstance(found, InvalidRequestError) and found.param == "tools"
    )
    assert isinstance(found, Count) == (depth == 200)
    await counter.close()
