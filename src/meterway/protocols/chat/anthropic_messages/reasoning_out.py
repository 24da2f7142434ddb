"""Writing how much to think: `thinking` and `output_config.effort`, as the model accepts them.

Sources: https://platform.claude.com/docs/en/build-with-claude/{extended-thinking,adaptive-thinking,
effort}. A model with adaptive thinking gets `{"type": "adaptive"}` and the effort; an earlier one
a budget: minimal 1024, low 2048, medium 8192, high 16384, xhigh and max 22528 tokens. Thinking
counts towards `max_tokens` and must stay below it.
"""

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages.abilities import Abilities
from meterway.protocols.chat.envelopes import is_sealed

MIN_BUDGET = 1024
BUDGETS = {
    "minimal": MIN_BUDGET,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 22528,
    "max": 22528,
}
_LEVELS = ("low", "medium", "high", "xhigh", "max")
_DEFAULT_EFFORT = "high"


class Plan(msgspec.Struct, frozen=True):
    """What goes on the wire: the thinking object, the effort, and the output limit."""

    max_tokens: int
    thinking: dict[str, object] | None = None
    effort: str | None = None

    @property
    def thinks(self) -> bool:
        """Whether thinking is asked for, which forbids most sampling and forced tools."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def plan(request: neutral.Request, abilities: Abilities, dropped: list[str]) -> Plan:
    """Decide thinking, effort and `max_tokens`; names of what cannot be said go to `dropped`.

    Without a `max_tokens` of the client's the limit is the model's default (8192; 4096 before
    Claude 3.5) plus what the effort may spend on thinking.
    """
    reasoning, limit = request.reasoning, request.sampling.max_tokens
    base = abilities.max_tokens if limit is None else limit
    if reasoning is None:
        return Plan(base)
    if reasoning.mode == "disabled" or (reasoning.mode is None and reasoning.effort == "none"):
        return _disabled(base, reasoning, abilities, dropped)
    effort = _effort(reasoning, abilities)
    if _forces_tool(request):
        dropped.append("reasoning")
        return Plan(base, effort=effort)
    if abilities.adaptive and not (reasoning.mode == "enabled" and abilities.budget):
        if reasoning.mode == "enabled":
            dropped.append("reasoning.budget_tokens")
        room = 0 if limit is not None else _budget_of(reasoning)
        return Plan(base + room, {"type": "adaptive"}, effort)
    return _budget(request, base, effort, abilities, dropped)


def _budget(
    request: neutral.Request,
    base: int,
    effort: str | None,
    abilities: Abilities,
    dropped: list[str],
) -> Plan:
    reasoning, limit = request.reasoning, request.sampling.max_tokens
    assert reasoning is not None
    if not abilities.budget or _replays_without_thinking(request):
        dropped.append("reasoning")
        return Plan(base, effort=effort)
    budget = _budget_of(reasoning)
    if limit is None:
        return Plan(base + budget, {"type": "enabled", "budget_tokens": budget}, effort)
    budget = min(budget, limit - 1)
    if budget < MIN_BUDGET:
        dropped.append("reasoning")
        return Plan(base, effort=effort)
    return Plan(base, {"type": "enabled", "budget_tokens": budget}, effort)


def _budget_of(reasoning: neutral.Reasoning) -> int:
    if reasoning.budget_tokens is not None:
        return reasoning.budget_tokens
    return BUDGETS.get(reasoning.effort or _DEFAULT_EFFORT, BUDGETS[_DEFAULT_EFFORT])


def _disabled(
    base: int, reasoning: neutral.Reasoning, abilities: Abilities, dropped: list[str]
) -> Plan:
    effort = _effort(reasoning, abilities)
    if abilities.always_thinks:
        dropped.append("reasoning")
        return Plan(base, effort=effort or "low")
    if not (abilities.budget or abilities.adaptive):
        return Plan(base)
    return Plan(base, {"type": "disabled"}, effort)


def _effort(reasoning: neutral.Reasoning, abilities: Abilities) -> str | None:
    """Return the nearest level the model knows that is not above the one asked for."""
    asked = "low" if reasoning.effort == "minimal" else reasoning.effort
    if reasoning.budget_tokens is not None and asked is None and not abilities.budget:
        asked = next((one for one in _LEVELS if BUDGETS[one] >= reasoning.budget_tokens), "max")
    if asked not in _LEVELS or not abilities.efforts:
        return None
    return max(
        (one for one in abilities.efforts if _LEVELS.index(one) <= _LEVELS.index(asked)),
        key=_LEVELS.index,
    )


def _forces_tool(request: neutral.Request) -> bool:
    return request.tool_choice is not None and request.tool_choice.mode in ("required", "named")


def _replays_without_thinking(request: neutral.Request) -> bool:
    """Whether the turn to be continued called tools without (signed) thinking before them.

    With a budget the API refuses such a turn; clients of other dialects cannot replay thinking.
    """
    for message in reversed(request.messages):
        if message.role is neutral.Role.USER and not _is_all_results(message):
            return False
        if message.role is neutral.Role.ASSISTANT:
            calls = any(isinstance(part, neutral.ToolCall) for part in message.parts)
            return calls and not _starts_with_thinking(message)
    return False


def _is_all_results(message: neutral.Message) -> bool:
    return all(isinstance(part, neutral.ToolResult) for part in message.parts)


def _starts_with_thinking(message: neutral.Message) -> bool:
    if not message.parts:
        return False
    first = message.parts[0]
    if isinstance(first, neutral.Thinking):
        return first.signature is not None and not is_sealed(first.signature)
    return isinstance(first, neutral.RedactedThinking)
