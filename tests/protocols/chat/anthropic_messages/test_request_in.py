"""What a client's request means, and how it is told what is wrong with it."""

from typing import Any

import msgspec
import pytest

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.dialects import Family
from tests.factories.anthropic_wire import assistant, body, decode, user

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}


def parts_of(*content, role="user"):
    message = user(*content) if role == "user" else assistant(*content)
    return decode(messages=[message]).messages[0].parts


def test_facts_name_model_stream_and_tier():
    facts = ANTHROPIC_MESSAGES.facts(body(stream=True, service_tier="standard_only"))

    assert (facts.model, facts.stream, facts.service_tier) == ("claude-opus-5", True, "default")
    assert facts.include_usage


@pytest.mark.parametrize(
    ("fields", "service"),
    [
        ({}, None),
        ({"speed": "standard", "inference_geo": "global"}, None),
        ({"speed": None, "inference_geo": None, "service_tier": "auto"}, "auto"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "service_tier": "auto"}, "fast"),
        ({"inference_geo": "us", "service_tier": "standard_only"}, "us"),
        ({"speed": "fast", "inference_geo": "us"}, "fast_us"),
        ({"speed": "warp"}, "warp"),
    ],
)
def test_facts_name_all_that_changes_the_price(fields, service):
    assert ANTHROPIC_MESSAGES.facts(body(**fields)).service_tier == service


def test_facts_name_the_longest_answer_allowed():
    assert ANTHROPIC_MESSAGES.facts(body(max_tokens=77)).max_tokens == 77


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_a_missing_field_is_named_as_the_vendor_names_it(name):
    with pytest.raises(InvalidRequestError) as refusal:
        decode(**{name: ...})

    assert refusal.value.message == f"{name}: Field required"
    assert refusal.value.param == name


def test_facts_refuse_a_body_without_a_model():
    with pytest.raises(InvalidRequestError, match=r"^model: Field required$"):
        ANTHROPIC_MESSAGES.facts(json.decode_top(b"{}"))


def test_a_string_is_a_text():
    request = decode(messages=[{"role": "user", "content": "Hi"}], system="Be brief.")

    assert request.messages[0].parts == (neutral.Text(text="Hi", path="messages.0.content"),)
    assert request.system == (neutral.Text(text="Be brief.", path="system"),)


def test_system_blocks_keep_their_cache_marks():
    one_hour = {"type": "ephemeral", "ttl": "1h"}
    system = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": one_hour},
        {"type": "text", "text": "c", "cache_control": None},
    ]

    request = decode(system=system)

    assert [text.cache for text in request.system] == [
        neutral.CacheMark(ttl="5m"),
        neutral.CacheMark(ttl="1h"),
        None,
    ]


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (PNG, sources.DataSource(media_type="image/png", data="iVBORw0=")),
        ({"type": "url", "url": "https://x/y.png"}, sources.UrlSource(url="https://x/y.png")),
        ({"type": "file", "file_id": "file_1"}, sources.FileSource("file_1", Family.ANTHROPIC)),
    ],
)
def test_an_image_may_come_in_three_ways(source, meant):
    (image,) = parts_of({"type": "image", "source": source})

    assert image == neutral.Image(source=meant, path="messages.0.content.0")


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            sources.DataSource(media_type="application/pdf", data="JVBERi0="),
        ),
        ({"type": "url", "url": "https://x/y.pdf"}, sources.UrlSource(url="https://x/y.pdf")),
        (
            {"type": "text", "media_type": "text/plain", "data": "words"},
            sources.TextSource(text="words"),
        ),
        ({"type": "content", "content": "words"}, sources.TextSource(text="words")),
        (
            {"type": "content", "content": [{"type": "text", "text": t} for t in "ab"]},
            sources.TextSource(text="a\n\nb"),
        ),
        ({"type": "file", "file_id": "file_1"}, sources.FileSource("file_1", Family.ANTHROPIC)),
    ],
)
def test_a_document_may_come_in_five_ways(source, meant):
    (document,) = parts_of(
        {
            "type": "document",
            "source": source,
            "title": "T",
            "context": "C",
            "citations": {"enabled": True},
        }
    )

    assert document == neutral.Document(
        source=meant, name="T", context="C", citations=True, path="messages.0.content.0"
    )


def test_a_document_with_pictures_inside_is_kept_as_foreign():
    source = {"type": "content", "content": [{"type": "image", "source": PNG}]}

    (part,) = parts_of({"type": "document", "source": source})

    assert isinstance(part, neutral.Foreign)
    assert part.path == "messages.0.content.0.source.content"


def test_tool_use_and_parallel_results_with_images_are_read():
    request = decode(
        messages=[
            user("?"),
            assistant(
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, 2]}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ),
            user(
                {"type": "tool_result", "tool_use_id": "t1", "content": "one", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "content": [{"type": "text", "text": "two"}, {"type": "image", "source": PNG}],
                },
                {"type": "tool_result", "tool_use_id": "t3"},
            ),
        ]
    )

    thinking, redacted, first, second = request.messages[1].parts
    assert isinstance(thinking, neutral.Thinking)
    assert (thinking.text, thinking.signature) == ("hm", "s")
    assert redacted == neutral.RedactedThinking(data="d", path="messages.1.content.1")
    assert isinstance(first, neutral.ToolCall)
    assert isinstance(second, neutral.ToolCall)
    assert (first.id, first.name, first.arguments) == ("t1", "f", '{"a":[1,2]}')
    assert second.arguments == "{}"
    failed, pictured, empty = request.messages[2].parts
    assert isinstance(failed, neutral.ToolResult)
    assert isinstance(pictured, neutral.ToolResult)
    assert failed.is_error
    assert [type(part) for part in pictured.content] == [neutral.Text, neutral.Image]
    assert pictured.content[1].path == "messages.2.content.1.content.1"
    assert empty == neutral.ToolResult(call_id="t3", content=(), path="messages.2.content.2")


def test_tool_results_come_before_other_parts_of_their_turn():
    parts = parts_of("after", {"type": "tool_result", "tool_use_id": "t", "content": "r"})

    assert [type(part) for part in parts] == [neutral.ToolResult, neutral.Text]


@pytest.mark.parametrize("kind", ["search_result", "server_tool_use", "web_search_tool_result"])
def test_a_block_only_the_vendor_knows_is_kept_whole(kind):
    block = {"type": kind, "source": "https://x", "text": 5, "content": {"any": ["thing"]}}

    (text, part) = parts_of("a", block, role="assistant")

    assert isinstance(part, neutral.Foreign)
    assert part.kind == kind
    assert msgspec.json.decode(part.raw) == block
    assert part.path == "messages.0.content.1"
    assert isinstance(text, neutral.Text)


def test_a_foreign_block_inside_a_tool_result_is_named_by_its_own_path():
    inner = {"type": "search_result", "source": "s", "title": "t", "content": []}

    (part,) = parts_of({"type": "tool_result", "tool_use_id": "t", "content": [inner]})

    assert isinstance(part, neutral.Foreign)
    assert (part.kind, part.path) == ("search_result", "messages.0.content.0.content.0")


def test_a_system_turn_stands_where_it_stood():
    request = decode(messages=[user("a"), {"role": "system", "content": "Now in French."}])

    assert request.messages[1].role is neutral.Role.SYSTEM


def test_tools_are_functions_and_the_vendors_own():
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    request = decode(
        tools=[
            {
                "name": "f",
                "description": "d",
                "input_schema": schema,
                "strict": True,
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
                "defer_loading": True,
            },
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ]
    )

    function, custom, builtin = request.tools
    assert isinstance(function, neutral.FunctionTool)
    assert (function.name, function.strict) == ("f", True)
    assert function.description == msgspec.Raw(b'"d"')
    assert bytes(function.parameters or b"") == msgspec.json.encode(schema)
    assert function.cache == neutral.CacheMark(ttl="1h")
    assert isinstance(custom, neutral.FunctionTool)
    assert isinstance(builtin, neutral.BuiltinTool)
    assert builtin.kind == "web_search_20250305"
    assert msgspec.json.decode(builtin.raw)["max_uses"] == 3
    assert "tools.0.defer_loading" in request.extra


@pytest.mark.parametrize(
    ("wire", "choice", "parallel"),
    [
        ({"type": "auto"}, neutral.ToolChoice(mode="auto"), None),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            neutral.ToolChoice(mode="required"),
            False,
        ),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            neutral.ToolChoice(mode="named", name="f"),
            True,
        ),
        ({"type": "none"}, neutral.ToolChoice(mode="none"), None),
    ],
)
def test_tool_choice_and_parallel_use_are_two_things(wire, choice, parallel):
    request = decode(tool_choice=wire)

    assert request.tool_choice == choice
    assert request.parallel_tool_calls is parallel


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            neutral.Reasoning(mode="enabled", budget_tokens=2048),
        ),
        ({"thinking": {"type": "adaptive"}}, neutral.Reasoning(mode="adaptive")),
        ({"thinking": {"type": "disabled"}}, neutral.Reasoning(mode="disabled")),
        ({"output_config": {"effort": "low"}}, neutral.Reasoning(effort="low")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            neutral.Reasoning(mode="adaptive", effort="max"),
        ),
        ({"thinking": {"type": "between_tools"}}, None),
    ],
)
def test_thinking_and_effort_are_reasoning(fields, reasoning):
    assert decode(**fields).reasoning == reasoning


@pytest.mark.parametrize("place", ["output_config", "output_format"])
def test_structured_output_is_read_from_both_places(place):
    schema = {"type": "object", "additionalProperties": False}
    form = {"type": "json_schema", "schema": schema}

    request = decode(**{place: {"format": form} if place == "output_config" else form})

    assert isinstance(request.output, neutral.JsonSchema)
    assert bytes(request.output.schema) == msgspec.json.encode(schema)


def test_knobs_have_their_neutral_places():
    request = decode(
        temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["a", "b"], stream=True,
        metadata={"user_id": "u", "team": "x"}, service_tier="auto",
    )  # fmt: skip

    assert request.sampling == neutral.Sampling(
        max_tokens=100, temperature=0.5, top_p=0.9, top_k=5, stop=("a", "b")
    )
    assert (request.stream, request.user, request.service_tier) == (True, "u", "auto")
    assert set(request.extra) == {"metadata.team"}


def test_fields_nobody_knows_travel_in_extra_and_never_fail():
    fields: dict[str, Any] = {
        "context_management": {"edits": []},
        "container": "c",
        "mcp_servers": [{"x": 1}],
        "inference_geo": "eu",
        "speed": "fast",
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"task_budget": {"type": "tokens"}},
        "future_field": [None],
        "absent": None,
    }

    extra = decode(**fields).extra

    assert set(extra) == {
        "context_management", "container", "mcp_servers", "inference_geo", "speed",
        "thinking.display", "output_config.task_budget", "future_field",
    }  # fmt: skip
    assert msgspec.json.decode(extra["context_management"]) == {"edits": []}


BAD = [
    ({"messages": []}, "messages"),
    ({"messages": 5}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    ({"messages": [{"content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    ({"messages": [user("a"), user({"text": "x"})]}, "messages.1.content.0.type"),
    ({"messages": [user("a", {"type": "text"})]}, "messages.0.content.1.text"),
    ({"messages": [user("a", {"type": "text", "text": 1})]}, "messages.0.content.1.text"),
    ({"messages": [user("a", {"type": "image"})]}, "messages.0.content.1.source"),
    (
        {"messages": [user({"type": "image", "source": {"type": "base64", "data": "x"}})]},
        "messages.0.content.0.source.media_type",
    ),
    (
        {"messages": [user({"type": "image", "source": {"type": "url", "url": 5}})]},
        "messages.0.content.0.source.url",
    ),
    (
        {"messages": [user({"type": "image", "source": {"type": "ftp"}})]},
        "messages.0.content.0.source.type",
    ),
    (
        {"messages": [user({"type": "image", "source": {"type": "text", "data": "x"}})]},
        "messages.0.content.0.source.type",
    ),
    ({"messages": [user({"type": "tool_result"})]}, "messages.0.content.0.tool_use_id"),
    (
        {"messages": [user({"type": "tool_use", "id": "a", "name": "b", "input": {}})]},
        "messages.0.content.0",
    ),
    (
        {"messages": [assistant({"type": "tool_result", "tool_use_id": "a"})]},
        "messages.0.content.0",
    ),
    (
        {"messages": [assistant({"type": "tool_use", "id": "a", "name": "b", "input": "x"})]},
        "messages.0.content.0.input",
    ),
    (
        {"messages": [assistant({"type": "tool_use", "id": "a", "name": "b"})]},
        "messages.0.content.0.input",
    ),
    ({"messages": [assistant({"type": "tool_use"})]}, "messages.0.content.0.id"),
    ({"messages": [assistant({"type": "thinking"})]}, "messages.0.content.0.thinking"),
    ({"messages": [assistant({"type": "redacted_thinking"})]}, "messages.0.content.0.data"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"model": 5}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"system": [{"type": "image"}]}, "system.0.type"),
    ({"system": 5}, "system"),
    ({"temperature": "hot"}, "temperature"),
    ({"stop_sequences": ["a", 5]}, "stop_sequences.1"),
    ({"tools": [{"name": "a"}]}, "tools.0.input_schema"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
    ({"tools": [{"name": "a", "input_schema": "x"}]}, "tools.0.input_schema"),
    ({"tools": {}}, "tools"),
    ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {}}, "thinking.type"),
    ({"output_config": {"effort": 5}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ({"metadata": "x"}, "metadata"),
]


@pytest.mark.parametrize(("fields", "path"), BAD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(BAD)])
def test_what_is_wrong_is_named_by_its_path(fields, path):
    with pytest.raises(InvalidRequestError) as refusal:
        decode(**fields)

    assert refusal.value.param == path
    assert refusal.value.message.startswith(f"{path}: ")
    assert refusal.value.status == 400


def agent_request():
    """About 100 KB as Claude Code sends it: many tools, long system, a tool loop under way."""
    schema = {"$schema": "x", "type": "object", "additionalProperties": False}
    cached = {"type": "ephemeral", "ttl": "1h"}
    turns: list[dict[str, Any]] = [user("<system-reminder>" + "r" * 4000, "Fix the bug")]
    for step in range(12):
        turns.append(
            assistant(
                {"type": "thinking", "thinking": "", "signature": "S" * 400},
                f"Step {step}",
                {"type": "tool_use", "id": f"toolu_{step}", "name": "Bash", "input": {"c": "ls"}},
            )
        )
        result = {"type": "tool_result", "tool_use_id": f"toolu_{step}", "content": "o" * 2500}
        turns.append(
            user({**result, "is_error": step == 3}, "<system-reminder>go on</system-reminder>")
        )
    turns[-1]["content"][0]["cache_control"] = cached
    return {
        "model": "claude-opus-5",
        "max_tokens": 32000,
        "messages": turns,
        "system": [
            {"type": "text", "text": "x-billing-header: cc"},
            {"type": "text", "text": "p" * 12000, "cache_control": cached},
        ],
        "tools": [
            {"name": f"Tool{n}", "description": "d" * 2400, "input_schema": schema}
            for n in range(16)
        ],
        "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "medium"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": True,
    }


def test_an_agents_request_is_read_whole():
    raw = msgspec.json.encode(agent_request())

    request = ANTHROPIC_MESSAGES.decode_request(json.decode_top(raw))

    assert len(raw) > 90_000
    assert len(request.messages) == 25
    assert len(request.tools) == 16
    assert request.user is not None
    assert request.user.startswith('{"device_id"')
    results = [
        part for m in request.messages for part in m.parts if isinstance(part, neutral.ToolResult)
    ]
    assert [part.is_error for part in results].count(True) == 1
    assert results[-1].cache == neutral.CacheMark(ttl="1h")
    assert set(request.extra) == {"context_management"}


def test_an_agents_request_passes_with_every_value_untouched():
    raw = msgspec.json.encode(agent_request())

    passed = ANTHROPIC_MESSAGES.pass_request(json.decode_top(raw), "upstream-model")

    assert msgspec.json.decode(passed) == {**agent_request(), "model": "upstream-model"}
    assert passed.replace(b'"upstream-model"', b'"claude-opus-5"', 1) == raw


def test_a_doubled_key_passes_once():
    raw = b'{"model":"cheap","max_tokens":1,"messages":[],"model":"dear"}'

    passed = ANTHROPIC_MESSAGES.pass_request(json.decode_top(raw), "m")

    assert passed.count(b'"model"') == 1


@pytest.mark.parametrize("field", ["messages", "tools", "system", "thinking", "output_config"])
def test_json_nested_too_deep_is_an_error_and_no_crash(field):
    deep = msgspec.Raw(b"[" * 900 + b"]" * 900)
    raw = json.encode({"model": "m", "max_tokens": 1, "messages": [user("a")], field: [deep]})

    with pytest.raises(InvalidRequestError):
        ANTHROPIC_MESSAGES.decode_request(json.decode_top(raw))
