"""How much a Gemini model is to think: efforts, budgets and modes as a `thinkingConfig`.

Efforts stand for the levels and budgets that Google's own OpenAI-compatible endpoint gives them
(https://ai.google.dev/gemini-api/docs/openai#thinking). Who asks for reasoning is told the
thoughts; who does not, is not.
"""

from typing import Any

from meterway.protocols.chat import neutral
from meterway.protocols.chat.gemini.abilities import Abilities

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_STEPS = ("minimal", "low", "medium", "high")
_HIGHEST = "high"
_NONE = "none"
_DYNAMIC = -1


def thinking_config(
    reasoning: neutral.Reasoning | None, abilities: Abilities, dropped: list[str]
) -> dict[str, Any] | None:
    """Return the configuration, None where nothing was asked or the model does not think.

    What cannot be had is named in `dropped`: thinking where there is none, none where it cannot
    be turned off (then as little as the model can).
    """
    if reasoning is None:
        return None
    name = "reasoning_effort" if reasoning.mode is None else "thinking"
    if not abilities.levels and abilities.budgets is None:
        if reasoning.mode != "disabled" and reasoning.effort != _NONE:
            dropped.append(name)
        return None
    if reasoning.mode == "disabled" or reasoning.effort == _NONE:
        return _least(abilities, name, dropped)
    how = _level(reasoning, abilities) if abilities.levels else _budget(reasoning, abilities)
    return {**how, "includeThoughts": True}


def _least(abilities: Abilities, name: str, dropped: list[str]) -> dict[str, Any]:
    if abilities.stops:
        return {"thinkingBudget": 0}
    dropped.append(name)
    if abilities.budgets is not None:
        return {"thinkingBudget": abilities.budgets[0]}
    return {"thinkingLevel": abilities.levels[0]}


def _level(reasoning: neutral.Reasoning, abilities: Abilities) -> dict[str, Any]:
    effort = reasoning.effort
    if effort is None and reasoning.budget_tokens is not None:
        effort = _effort_of(reasoning.budget_tokens)
    if effort is None:
        return {}  # as the model thinks best
    wanted = _STEPS.index(effort) if effort in _STEPS else len(_STEPS) - 1
    fitting = [level for level in abilities.levels if _STEPS.index(level) >= wanted]
    return {"thinkingLevel": fitting[0]}


def _effort_of(budget: int) -> str:
    return next((effort for effort in _STEPS[1:] if budget <= _BUDGETS[effort]), _HIGHEST)


def _budget(reasoning: neutral.Reasoning, abilities: Abilities) -> dict[str, Any]:
    assert abilities.budgets is not None, "asked of models with budgets alone"
    least, most = abilities.budgets
    if reasoning.budget_tokens is not None:
        return {"thinkingBudget": min(max(reasoning.budget_tokens, least), most)}
    if reasoning.effort is None:
        return {"thinkingBudget": _DYNAMIC}
    return {"thinkingBudget": _BUDGETS.get(reasoning.effort, most)}
