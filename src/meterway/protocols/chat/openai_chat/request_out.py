"""The neutral form, written as a chat completions request for an upstream.

Names of `Request.extra` are left out and reported: they mean something only in the dialect they
came in. Cache marks are left out and reported too: OpenAI and its followers cache by themselves.
"""

from typing import Any, TypeAlias

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Encoded
from meterway.protocols.chat.openai_chat.faults import unsupported
from meterway.protocols.chat.openai_chat.messages_out import MessageWriter
from meterway.protocols.chat.openai_chat.wire import TIERS
from meterway.protocols.chat.openai_models import Abilities, abilities_of, effort_of
from meterway.protocols.chat.vendor_tools import functions_of

Wire: TypeAlias = dict[str, Any]
_PASSED = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "n",
)


def encode_request(request: neutral.Request, model: str) -> Encoded:
    """Write `request` for an upstream that calls the model `model`.

    Raises `UnsupportedContentError` naming the JSON path of a part or tool that cannot be said.
    """
    abilities, dropped = abilities_of(model), list(request.extra)
    body: Wire = {
        "model": model,
        "messages": MessageWriter(abilities, dropped).write(request),
    }
    body |= _tools(request, dropped)
    body |= _sampling(request.sampling, abilities, dropped)
    body |= _reasoning(request.reasoning, abilities, dropped)
    if request.output is not None:
        body["response_format"] = _output(request.output)
    if request.service_tier in TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        dropped.append("service_tier")
    if request.user is not None:
        body["user"] = request.user
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return Encoded(json.encode(body), tuple(dropped))


def _tools(request: neutral.Request, dropped: list[str]) -> Wire:
    functions = functions_of(request, dropped, unsupported)
    if not functions:
        return {}
    body: Wire = {"tools": [_tool(tool, dropped) for tool in functions]}
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _tool(tool: neutral.FunctionTool, dropped: list[str]) -> Wire:
    if tool.cache is not None:
        dropped.append(f"{tool.path}.cache_control")
    function: Wire = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: neutral.ToolChoice) -> str | Wire:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _sampling(sampling: neutral.Sampling, abilities: Abilities, dropped: list[str]) -> Wire:
    knobs: Wire = {}
    if sampling.max_tokens is not None:
        name = "max_completion_tokens" if abilities.completion_limit else "max_tokens"
        knobs[name] = sampling.max_tokens
    for name in _PASSED:
        value = getattr(sampling, name)
        if value is not None:
            knobs[name] = value
    if sampling.stop:
        knobs["stop"] = list(sampling.stop)
    if sampling.top_k is not None:
        dropped.append("top_k")
    return knobs


def _reasoning(
    reasoning: neutral.Reasoning | None, abilities: Abilities, dropped: list[str]
) -> Wire:
    if reasoning is None:
        return {}
    effort = reasoning.effort
    if reasoning.mode == "disabled":
        effort = abilities.no_thinking
    elif effort is None and reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    if effort is None or not abilities.effort:
        dropped.append("reasoning_effort" if reasoning.mode is None else "thinking")
        return {}
    return {"reasoning_effort": effort}


def _output(output: neutral.JsonSchema | neutral.JsonObject) -> Wire:
    if isinstance(output, neutral.JsonObject):
        return {"type": "json_object"}
    schema: Wire = {"name": output.name or "reply"}
    if output.description is not None:
        schema["description"] = output.description
    schema["schema"] = output.schema
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}
