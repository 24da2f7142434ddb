"""The neutral form, written as a Responses request for an upstream.

Follows https://platform.openai.com/docs/api-reference/responses/create. The upstream is asked
without state. Knobs the API lacks (`stop`, `seed`, `top_k`, `logit_bias`, penalties), names of
`Request.extra` and cache marks are left out and reported; more than one choice is refused.
"""

from typing import Any, TypeAlias

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Encoded
from meterway.protocols.chat.openai_models import Abilities, abilities_of, effort_of
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.faults import unsupported
from meterway.protocols.chat.openai_responses.messages_out import InputWriter
from meterway.protocols.chat.vendor_tools import functions_of
from meterway.protocols.chat.wording import joined

Wire: TypeAlias = dict[str, Any]
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


def encode_request(request: neutral.Request, model: str, maker: str = "") -> Encoded:
    """Write `request` for the upstream `maker`, which calls the model `model`.

    Raises `UnsupportedContentError` naming the JSON path of a part or tool that cannot be said.
    """
    if request.sampling.n is not None and request.sampling.n > 1:
        raise unsupported("n", "more than one choice")
    dropped, include = list(request.extra), list[str]()
    body: Wire = {"model": model, "store": False}
    if request.system:
        marked = [text for text in request.system if text.cache is not None]
        dropped += [f"{text.path}.cache_control" for text in marked]
        body["instructions"] = joined([text.text for text in request.system], "\n\n")
    body["input"] = InputWriter(dropped, maker).write(request.messages)
    body |= _tools(request, dropped)
    body |= _sampling(request.sampling, include, dropped)
    body |= _reasoning(request.reasoning, abilities_of(model), include, dropped)
    body |= _rest(request, dropped)
    if include:
        body["include"] = include
    return Encoded(json.encode(body), tuple(dropped))


def _rest(request: neutral.Request, dropped: list[str]) -> Wire:
    body: Wire = {}
    if request.output is not None:
        body["text"] = {"format": _format(request.output)}
    if request.service_tier in wire.TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        dropped.append("service_tier")
    if request.user is not None:
        body["user"] = request.user
    if request.stream:
        body["stream"] = True
    return body


def _tools(request: neutral.Request, dropped: list[str]) -> Wire:
    functions = functions_of(request, dropped, unsupported)
    if not functions:
        return {}
    body: Wire = {"tools": [_tool(tool, dropped) for tool in functions]}
    choice = request.tool_choice
    if choice is not None:
        named = {"type": "function", "name": choice.name}
        body["tool_choice"] = named if choice.mode == "named" else choice.mode
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _tool(tool: neutral.FunctionTool, dropped: list[str]) -> Wire:
    """Write a tool; this API is strict unless told otherwise, the others are not."""
    if tool.cache is not None:
        dropped.append(f"{tool.path}.cache_control")
    written: Wire = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["parameters"] = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    written["strict"] = tool.strict is True
    return written


def _sampling(sampling: neutral.Sampling, include: list[str], dropped: list[str]) -> Wire:
    knobs: Wire = {}
    if sampling.max_tokens is not None:
        knobs["max_output_tokens"] = sampling.max_tokens
    for name in ("temperature", "top_p"):
        if (value := getattr(sampling, name)) is not None:
            knobs[name] = value
    if sampling.logprobs or sampling.top_logprobs:
        include.append(wire.LOGPROBS)
        if sampling.top_logprobs is not None:
            knobs["top_logprobs"] = sampling.top_logprobs
    lacking = {
        "stop": bool(sampling.stop),
        "top_k": sampling.top_k is not None,
        "seed": sampling.seed is not None,
        "presence_penalty": bool(sampling.presence_penalty),
        "frequency_penalty": bool(sampling.frequency_penalty),
        "logit_bias": sampling.logit_bias is not None,
    }
    dropped += [name for name, is_set in lacking.items() if is_set]
    return knobs


def _reasoning(
    reasoning: neutral.Reasoning | None,
    abilities: Abilities,
    include: list[str],
    dropped: list[str],
) -> Wire:
    """Write how much to think; who asked for thoughts is told their summary."""
    if reasoning is None:
        return {}
    effort = reasoning.effort
    if reasoning.mode == "disabled":
        effort = abilities.no_thinking
    elif effort is None and reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    shown = reasoning.mode in {"enabled", "adaptive"}
    if not abilities.effort or (effort is None and not shown):
        dropped.append("reasoning_effort" if reasoning.mode is None else "thinking")
        return {}
    if abilities.encrypted_thoughts and reasoning.mode != "disabled" and effort != "none":
        include.append(wire.ENCRYPTED)
    wish: Wire = {} if effort is None else {"effort": effort}
    return {"reasoning": wish | ({"summary": "auto"} if shown else {})}


def _format(output: neutral.JsonSchema | neutral.JsonObject) -> Wire:
    if isinstance(output, neutral.JsonObject):
        return {"type": "json_object"}
    form: Wire = {"type": "json_schema", "name": output.name or "reply"}
    if output.description is not None:
        form["description"] = output.description
    form["schema"] = output.schema
    if output.strict is not None:
        form["strict"] = output.strict
    return form
