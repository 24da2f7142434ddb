"""How much to think, as each generation of models can be told."""

import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.anthropic_messages.abilities import abilities_of

HI = neutral.Message(role=neutral.Role.USER, parts=(neutral.Text(text="Hi"),))
OLD, MIDDLE, NEW = "claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-opus-5"


def plan(model, limit=None, *, messages=(HI,), tools=(), choice=None, knobs=None, **reasoning):
    request = neutral.Request(
        model="m",
        messages=messages,
        tools=tools,
        tool_choice=choice,
        sampling=neutral.Sampling(max_tokens=limit, **(knobs or {})),
        reasoning=neutral.Reasoning(**reasoning),
    )
    encoded = ANTHROPIC_MESSAGES.encode_request(request, model)
    return msgspec.json.decode(encoded.body), encoded.dropped


def told(*args, **fields):
    body, dropped = plan(*args, **fields)
    return body.get("thinking"), body.get("output_config"), body["max_tokens"], dropped


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384), ("max", 22528)],
)
def test_older_models_get_a_budget_by_effort_on_top_of_the_default_limit(effort, budget):
    assert told(OLD, effort=effort) == (
        {"type": "enabled", "budget_tokens": budget}, None, 8192 + budget, ()
    )  # fmt: skip


def test_a_budget_stays_below_the_clients_limit():
    assert told(OLD, limit=4000, effort="high")[:3] == (
        {"type": "enabled", "budget_tokens": 3999}, None, 4000
    )  # fmt: skip


def test_a_limit_without_room_for_thinking_leaves_it_out():
    assert told(OLD, limit=1024, effort="high") == (None, None, 1024, ("reasoning",))


@pytest.mark.parametrize(
    ("model", "asked", "told_effort"),
    [
        (NEW, "minimal", "low"),
        (NEW, "xhigh", "xhigh"),
        (NEW, "max", "max"),
        (MIDDLE, "xhigh", "high"),
        (MIDDLE, "max", "max"),
    ],
)
def test_newer_models_think_adaptively_at_the_nearest_effort(model, asked, told_effort):
    thinking, config, _, dropped = told(model, limit=100, effort=asked)

    assert thinking == {"type": "adaptive"}
    assert config == {"effort": told_effort}
    assert dropped == ()


def test_opus_45_takes_a_budget_and_an_effort():
    thinking, config, _, _ = told("claude-opus-4-5", effort="max")

    assert thinking == {"type": "enabled", "budget_tokens": 22528}
    assert config == {"effort": "high"}


def test_a_budget_is_an_effort_where_budgets_are_gone():
    thinking, config, _, dropped = told(NEW, mode="enabled", budget_tokens=5000)

    assert (thinking, config) == ({"type": "adaptive"}, {"effort": "medium"})
    assert dropped == ("reasoning.budget_tokens",)


def test_a_budget_stays_one_where_both_forms_exist():
    thinking, _, limit, dropped = told(MIDDLE, mode="enabled", budget_tokens=5000)

    assert thinking == {"type": "enabled", "budget_tokens": 5000}
    assert (limit, dropped) == (8192 + 5000, ())


@pytest.mark.parametrize("fields", [{"mode": "disabled"}, {"effort": "none"}])
def test_no_thinking_is_said_where_it_can_be(fields):
    assert told(NEW, **fields)[0] == {"type": "disabled"}
    assert told("claude-3-haiku-20240307", **fields)[0] is None
    thinking, config, _, dropped = told("claude-fable-5-1", **fields)
    assert (thinking, config, dropped) == (None, {"effort": "low"}, ("reasoning",))


def test_models_that_cannot_think_are_not_asked():
    assert told("claude-3-5-sonnet-20241022", effort="high") == (None, None, 8192, ("reasoning",))


def test_models_of_other_vendors_get_the_form_their_servers_share():
    assert told("glm-5", effort="low")[:2] == ({"type": "enabled", "budget_tokens": 2048}, None)


@pytest.mark.parametrize("model", [OLD, MIDDLE, NEW])
def test_a_forced_tool_excludes_thinking(model):
    tool = neutral.FunctionTool(name="f")
    forced = neutral.ToolChoice(mode="required")

    body, dropped = plan(model, tools=(tool,), choice=forced, effort="high")

    assert "thinking" not in body
    assert dropped == ("reasoning",)


def tool_loop(*first):
    call = neutral.ToolCall(id="1", name="f", arguments="{}")
    answer = neutral.ToolResult(call_id="1", content=())
    return (
        HI,
        neutral.Message(role=neutral.Role.ASSISTANT, parts=(*first, call)),
        neutral.Message(role=neutral.Role.USER, parts=(answer,)),
    )


def test_a_tool_loop_begun_without_thinking_goes_on_without():
    assert told(OLD, messages=tool_loop(), effort="high")[0] is None
    assert told(OLD, messages=tool_loop(neutral.Thinking(text="x")), effort="high")[0] is None
    signed = neutral.Thinking(text="x", signature="s")
    assert told(OLD, messages=tool_loop(signed), effort="high")[0] is not None
    assert told(OLD, messages=(*tool_loop(), HI), effort="high")[0] is not None
    assert told(NEW, messages=tool_loop(), effort="high")[0] == {"type": "adaptive"}


def test_thinking_excludes_most_sampling():
    body, dropped = plan(OLD, effort="low", knobs={"temperature": 0.2, "top_p": 0.96, "top_k": 4})

    assert body["top_p"] == 0.96
    assert "temperature" not in body
    assert "top_k" not in body
    assert dropped == ("temperature", "top_k")
    assert plan(OLD, effort="low", knobs={"temperature": 1.0})[1] == ()


@pytest.mark.parametrize(
    ("name", "budget", "adaptive", "sampling"),
    [
        ("claude-2.1", False, False, True),
        ("claude-3-opus-latest", False, False, True),
        ("claude-3-7-sonnet-20250219", True, False, True),
        ("claude-opus-4-20250514", True, False, True),
        ("claude-haiku-4-5@20251001", True, False, True),
        ("us.anthropic.claude-sonnet-4-6-v1:0", True, True, True),
        ("anthropic/claude-opus-4.7", False, True, False),
        ("claude-sonnet-5-5", False, True, False),
        ("claude-mythos-preview", False, True, False),
        ("sandbox/echo", True, False, True),
    ],
)
def test_a_models_abilities_follow_from_its_name(name, budget, adaptive, sampling):
    abilities = abilities_of(name)

    assert (abilities.budget, abilities.adaptive, abilities.sampling) == (
        budget,
        adaptive,
        sampling,
    )
