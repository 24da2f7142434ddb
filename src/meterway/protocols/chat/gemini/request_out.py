"""Writing a request for a Gemini upstream from the neutral form.

Follows https://ai.google.dev/api/generate-content. Model and stream stand in the path, not here.
Schemas travel untouched, as `parametersJsonSchema` and `responseJsonSchema`. Knobs the API lacks
(logit_bias, user, one call at a time, strict tools) are left out and named in `dropped`.
"""

from typing import Any, TypeAlias

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Encoded
from meterway.protocols.chat.gemini.abilities import abilities_of
from meterway.protocols.chat.gemini.content_out import ContentWriter
from meterway.protocols.chat.gemini.faults import refused, unsupported
from meterway.protocols.chat.gemini.reasoning_out import thinking_config
from meterway.protocols.chat.gemini.usage import encode_tier
from meterway.protocols.chat.vendor_tools import functions_of

Wire: TypeAlias = dict[str, Any]
_KNOBS = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "n": "candidateCount",
}
_MODES = {"auto": "AUTO", "required": "ANY", "named": "ANY", "none": "NONE"}
_USUAL_TIER = "auto"


def encode_request(request: neutral.Request, model: str) -> Encoded:
    """Write `request` for an upstream that calls the model `model`.

    Raises `UnsupportedContentError` naming the path of what cannot be said.
    """
    abilities, dropped = abilities_of(model), list(request.extra)
    writer = ContentWriter(abilities, dropped)
    system, contents = writer.texts(request.system), writer.write(request.messages)
    if not contents:
        contents, system = _system_alone(system), []
    body: Wire = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    body |= _tools(request, dropped)
    config = _sampling(request.sampling, dropped)
    if (thinking := thinking_config(request.reasoning, abilities, dropped)) is not None:
        config["thinkingConfig"] = thinking
    config |= _output(request.output, dropped)
    if config:
        body["generationConfig"] = config
    body |= _tier(request.service_tier, dropped)
    if request.user is not None:
        dropped.append("user")
    return Encoded(json.encode(body), tuple(dropped))


def _system_alone(system: list[Wire]) -> list[Wire]:
    """A prompt of nothing but instructions is sent as the user's: the API needs a turn."""
    if not system:
        raise refused("messages", "at least one message with content is required")
    return [{"role": "user", "parts": system}]


def _tools(request: neutral.Request, dropped: list[str]) -> Wire:
    functions = functions_of(request, dropped, unsupported)
    if not functions:
        return {}
    if request.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")
    declared = [_function(tool, dropped) for tool in functions]
    body: Wire = {"tools": [{"functionDeclarations": declared}]}
    choice = request.tool_choice
    if choice is not None:
        calling: Wire = {"mode": _MODES[choice.mode]}
        if choice.name is not None:
            calling["allowedFunctionNames"] = [choice.name]
        body["toolConfig"] = {"functionCallingConfig": calling}
    return body


def _function(tool: neutral.FunctionTool, dropped: list[str]) -> Wire:
    if tool.strict:
        dropped.append(f"{tool.path}.strict")
    if tool.cache is not None:
        dropped.append(f"{tool.path}.cache_control")
    declared: Wire = {"name": tool.name}
    if tool.description is not None:
        declared["description"] = tool.description
    if tool.parameters is not None:
        declared["parametersJsonSchema"] = tool.parameters
    return declared


def _sampling(sampling: neutral.Sampling, dropped: list[str]) -> Wire:
    config: Wire = {
        name: value
        for word, name in _KNOBS.items()
        if (value := getattr(sampling, word)) is not None
    }
    if sampling.stop:
        config["stopSequences"] = list(sampling.stop)
    if sampling.logit_bias is not None:
        dropped.append("logit_bias")
    return config


def _output(output: neutral.JsonSchema | neutral.JsonObject | None, dropped: list[str]) -> Wire:
    if output is None:
        return {}
    form: Wire = {"responseMimeType": "application/json"}
    if isinstance(output, neutral.JsonSchema):
        form["responseJsonSchema"] = output.schema
        if output.description is not None:
            dropped.append("response_format.json_schema.description")
    return form


def _tier(tier: str | None, dropped: list[str]) -> Wire:
    if tier is None or tier == _USUAL_TIER:
        return {}
    known = encode_tier(tier)
    if known is None:
        dropped.append("service_tier")
        return {}
    return {"serviceTier": known}
