"""A client's chat completions request, read into the neutral form.

Follows https://platform.openai.com/docs/api-reference/chat/create. Read beyond it: `top_k` (vLLM,
OpenRouter), `reasoning` (OpenRouter), `thinking` (Anthropic's own compatible endpoint, DeepSeek),
`cache_control` (OpenRouter). Fields without a word in the neutral form stand in `Request.extra`.
"""

from typing import Annotated, Any

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.facts import asks_for_usage, read_facts
from meterway.protocols.chat.openai_chat.messages_in import decode_messages
from meterway.protocols.chat.openai_chat.tools_in import decode_tools
from meterway.protocols.chat.openai_family import decode_at, optional, refused, required

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Stop: Any = str | list[str]
_KNOWN = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "n",
        "reasoning_effort",
        "reasoning",
        "thinking",
        "response_format",
        "service_tier",
        "user",
        "stream",
        "stream_options",
    }
)
_TOOLS = frozenset({"tools", "functions", "tool_choice", "function_call"})
_KNOBS: dict[str, Any] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "seed": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "logprobs": bool,
    "top_logprobs": _Count,
    "n": _Positive,
}
_FORMATS = "'text', 'json_object' and 'json_schema'"


def decode_request(body: RawObject) -> neutral.Request:
    """Read a whole request. Raises `InvalidRequestError` naming the JSON path at fault."""
    facts = read_facts(body)
    system, messages = decode_messages(body)
    tools, choice = decode_tools(body) if body.keys() & _TOOLS else ((), None)
    return neutral.Request(
        model=facts.model,
        messages=messages,
        system=system,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=optional(body, "parallel_tool_calls", bool),
        sampling=_sampling(body),
        reasoning=_reasoning(body),
        output=_output(body),
        service_tier=facts.service_tier,
        user=optional(body, "user", str),
        stream=facts.stream,
        include_usage=facts.stream and asks_for_usage(body),
        extra={key: raw for key, raw in body.items() if key not in _KNOWN and raw != wire.NULL},
    )


def _sampling(body: RawObject) -> neutral.Sampling:
    limit = optional(body, "max_completion_tokens", _Positive)
    return neutral.Sampling(
        max_tokens=limit or optional(body, "max_tokens", _Positive),
        stop=_stop(body) if "stop" in body else (),
        logit_bias=_object(body, "logit_bias") if "logit_bias" in body else None,
        **{key: optional(body, key, _KNOBS[key]) for key in body if key in _KNOBS},
    )


def _object(body: RawObject, key: str) -> msgspec.Raw | None:
    optional(body, key, dict[str, msgspec.Raw])
    raw = body.get(key, wire.NULL)
    return raw if wire.given(raw) else None


def _stop(body: RawObject) -> tuple[str, ...]:
    raw = body.get("stop", wire.NULL)
    if not wire.given(raw):
        return ()
    stop: str | list[str] = decode_at(raw, _Stop, "stop")
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _reasoning(body: RawObject) -> neutral.Reasoning | None:
    effort = optional(body, "reasoning_effort", str)
    options = optional(body, "reasoning", wire.Thinking) or optional(
        body, "thinking", wire.Thinking
    )
    if options is None:
        return neutral.Reasoning(effort=effort) if effort is not None else None
    effort = effort or options.effort
    budget = options.max_tokens or options.budget_tokens
    if options.enabled is False or options.type == "disabled":
        return neutral.Reasoning(mode="disabled")
    if options.type == "adaptive":
        return neutral.Reasoning(mode="adaptive", effort=effort)
    if budget is not None:
        return neutral.Reasoning(mode="enabled", budget_tokens=budget, effort=effort)
    if options.enabled or options.type == "enabled":
        return neutral.Reasoning(effort=effort or "medium")
    return neutral.Reasoning(effort=effort) if effort is not None else None


def _output(body: RawObject) -> neutral.JsonSchema | neutral.JsonObject | None:
    form = optional(body, "response_format", wire.ResponseFormat)
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return neutral.JsonObject()
    if form.type != "json_schema":
        problem = f"'{form.type}' is not supported; supported are {_FORMATS}."
        raise refused("response_format.type", problem)
    schema = form.json_schema
    if schema is None:
        raise required("response_format.json_schema")
    return neutral.JsonSchema(
        schema=schema.schema if wire.given(schema.schema) else msgspec.Raw(b"{}"),
        name=schema.name,
        description=schema.description,
        strict=schema.strict,
    )
