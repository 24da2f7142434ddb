"""Writing a request for an Anthropic upstream from the neutral form.

Follows https://platform.claude.com/docs/en/api/messages. Documented choices: temperature above 1
is sent as 1 and named in `dropped`; knobs the API lacks (seed, penalties, logit_bias, logprobs)
are left out and named; `n` above 1 is refused. A JSON schema becomes `output_config.format`, on
models without structured outputs an instruction in the system prompt; "some JSON object" is always
such an instruction, as the API has no mode for it.
"""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_family import refused
from meterway.protocols.chat.anthropic_messages.abilities import Abilities, abilities_of
from meterway.protocols.chat.anthropic_messages.content_out import (
    Wire,
    cache_control,
    encode_messages,
    encode_texts,
)
from meterway.protocols.chat.anthropic_messages.faults import unsupported
from meterway.protocols.chat.anthropic_messages.reasoning_out import Plan, plan
from meterway.protocols.chat.anthropic_messages.schema_out import closed
from meterway.protocols.chat.codec import Encoded
from meterway.protocols.chat.vendor_tools import functions_of

JSON_ONLY = "Answer with a single JSON object and nothing else."
JSON_FITTING = "Answer with nothing but JSON that fits this JSON schema:\n"
_TIERS = {"auto": "auto", "default": "standard_only"}
_OBJECT = msgspec.Raw(b'"object"')
_MODES = {"auto": "auto", "required": "any", "named": "tool", "none": "none"}
_MIN_TOP_P = 0.95


def encode_request(request: neutral.Request, model: str) -> Encoded:
    """Write `request` for an upstream that calls the model `model`.

    Raises `UnsupportedContentError` naming the path of what cannot be said.
    """
    if request.sampling.n is not None and request.sampling.n > 1:
        raise unsupported("n", "more than one choice")
    dropped: list[str] = list(request.extra)
    abilities = abilities_of(model)
    thinking = plan(request, abilities, dropped)
    body: Wire = {"model": model, "max_tokens": thinking.max_tokens}
    config: Wire = {} if thinking.effort is None else {"effort": thinking.effort}
    system = encode_texts(request.system) + _output(request, config, abilities, dropped)
    messages = encode_messages(
        request.messages, system_turns=abilities.system_turns, dropped=dropped
    )
    if not messages:
        messages, system = _system_alone(system), []
    if system:
        body["system"] = system
    body["messages"] = messages
    _add_tools(body, request, dropped)
    if thinking.thinking is not None:
        body["thinking"] = thinking.thinking
    if config:
        body["output_config"] = config
    _add_sampling(body, request.sampling, abilities, thinking, dropped)
    _add_rest(body, request, dropped)
    return Encoded(json.encode(body), tuple(dropped))


def _system_alone(system: list[Wire]) -> list[Wire]:
    """A prompt of nothing but instructions is sent as the user's: the API needs a user turn."""
    if not system:
        raise refused("messages", "at least one message with content is required")
    return [{"role": "user", "content": system}]


def _output(
    request: neutral.Request, config: Wire, abilities: Abilities, dropped: list[str]
) -> list[Wire]:
    """Write the output format into `config`, or return it as instructions for the system prompt."""
    output = request.output
    if output is None:
        return []
    if isinstance(output, neutral.JsonObject):
        return [{"type": "text", "text": JSON_ONLY}]
    if output.description is not None:
        dropped.append("response_format.json_schema.description")
    if not abilities.structured:
        if output.strict:
            dropped.append("response_format.json_schema.strict")
        return [{"type": "text", "text": JSON_FITTING + bytes(output.schema).decode()}]
    config["format"] = {"type": "json_schema", "schema": closed(output.schema)}
    return []


def _add_tools(body: Wire, request: neutral.Request, dropped: list[str]) -> None:
    functions = functions_of(request, dropped, unsupported)
    if not functions:
        return
    body["tools"] = [_tool(tool) for tool in functions]
    choice, serial = request.tool_choice, request.parallel_tool_calls is False
    if choice is None and not serial:
        return
    wire: Wire = {"type": _MODES[choice.mode] if choice else "auto"}
    if choice is not None and choice.name is not None:
        wire["name"] = choice.name
    if serial and wire["type"] != "none":
        wire["disable_parallel_tool_use"] = True
    body["tool_choice"] = wire


def _tool(tool: neutral.FunctionTool) -> Wire:
    wire: Wire = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    wire["input_schema"] = _input_schema(tool)
    if tool.strict:
        wire["strict"] = True
    if tool.cache is not None:
        wire["cache_control"] = cache_control(tool.cache)
    return wire


def _input_schema(tool: neutral.FunctionTool) -> Any:
    """Return the schema untouched, unless it lacks the `type` that the API demands."""
    if tool.parameters is None or tool.parameters == msgspec.Raw(b"null"):
        return {"type": "object", "properties": {}}
    schema = json.decode_as(tool.parameters, json.RawObject, f"{tool.path}.parameters")
    return tool.parameters if "type" in schema else {"type": _OBJECT, **schema}


def _add_sampling(
    body: Wire,
    sampling: neutral.Sampling,
    abilities: Abilities,
    thinking: Plan,
    dropped: list[str],
) -> None:
    if sampling == neutral.Sampling(max_tokens=sampling.max_tokens):
        return  # nothing was asked for, as is usual
    stops = [one for one in sampling.stop if one.strip()]
    if len(stops) < len(sampling.stop):
        dropped.append("stop")  # the API refuses sequences of white space alone
    if stops:
        body["stop_sequences"] = stops
    temperature = sampling.temperature
    if temperature is not None and temperature > 1:
        temperature = 1
        dropped.append("temperature")
    for name, value, default in (
        ("temperature", temperature, 1),
        ("top_p", sampling.top_p, 1),
        ("top_k", sampling.top_k, None),
    ):
        if value is None:
            continue
        if _allows(name, value, body, abilities, thinking):
            body[name] = value
        elif value != default:
            dropped.append(name)
    dropped.extend(_unknown_knobs(sampling))


def _allows(name: str, value: float, body: Wire, abilities: Abilities, thinking: Plan) -> bool:
    if not abilities.sampling:
        return False
    if name == "top_p" and abilities.one_sampler and "temperature" in body:
        return False
    if not thinking.thinks:
        return True
    return name == "top_p" and _MIN_TOP_P <= value <= 1


def _unknown_knobs(sampling: neutral.Sampling) -> list[str]:
    """Name the knobs the API lacks, where their value would have changed anything."""
    knobs = {
        "seed": sampling.seed is not None,
        "presence_penalty": bool(sampling.presence_penalty),
        "frequency_penalty": bool(sampling.frequency_penalty),
        "logprobs": bool(sampling.logprobs),
        "top_logprobs": bool(sampling.top_logprobs),
        "logit_bias": sampling.logit_bias is not None,
    }
    return [name for name, is_set in knobs.items() if is_set]


def _add_rest(body: Wire, request: neutral.Request, dropped: list[str]) -> None:
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.service_tier in _TIERS:
        body["service_tier"] = _TIERS[request.service_tier]
    elif request.service_tier is not None:
        dropped.append("service_tier")
    if request.stream:
        body["stream"] = True
