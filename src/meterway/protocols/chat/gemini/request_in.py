"""Reading a client's request: Google's wire to the neutral form.

Follows https://ai.google.dev/api/generate-content. What the neutral form has no word for stands in
`Request.extra`: unknown top-level fields under their name, parts of known fields under their
path, such as `generationConfig.responseModalities`.
"""

from typing import Annotated, Any, Final

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.content_in import Leftovers, decode_contents, decode_system
from meterway.protocols.chat.gemini.facts import MODEL, STREAM, read_facts
from meterway.protocols.chat.gemini.faults import (
    decode_at,
    refused,
    required,
    untold,
    wording_at,
)
from meterway.protocols.chat.gemini.schema_in import json_schema, plain_types
from meterway.protocols.chat.gemini.spelling import canonical

_KNOWN: Final = frozenset({
    MODEL, STREAM, "contents", "systemInstruction", "tools", "toolConfig", "generationConfig",
    "serviceTier",
})  # fmt: skip
_KEPT: Final = "cachedContent"
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_KNOBS: Final[dict[str, tuple[str, Any]]] = {
    "maxOutputTokens": ("max_tokens", _Positive),
    "temperature": ("temperature", float),
    "topP": ("top_p", float),
    "topK": ("top_k", int),
    "stopSequences": ("stop", tuple[str, ...]),
    "seed": ("seed", int),
    "presencePenalty": ("presence_penalty", float),
    "frequencyPenalty": ("frequency_penalty", float),
    "responseLogprobs": ("logprobs", bool),
    "logprobs": ("top_logprobs", wire.Count),
    "candidateCount": ("n", _Positive),
}
_FORM: Final = frozenset({"responseMimeType", "responseSchema", "responseJsonSchema"})
_CONFIG, _TOOL_CONFIG = "generationConfig", "toolConfig"
_CALLING: Final = f"{_TOOL_CONFIG}.functionCallingConfig"
_MODES: Final = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_DYNAMIC = -1


def decode_request(given: RawObject) -> neutral.Request:
    """Read a request. Raises `InvalidRequestError` naming the path at fault."""
    body = canonical(given)
    if "contents" not in body:
        raise required("contents")
    if body.get(_KEPT, wire.NULL) != wire.NULL:
        raise untold(_KEPT, "content kept by its vendor")
    facts = read_facts(body)
    extra: Leftovers = {
        name: value for name, value in body.items() if name not in _KNOWN and value != wire.NULL
    }
    config = _object(body, _CONFIG)
    tools, choice = _offer(body, extra)
    return neutral.Request(
        model=facts.model,
        messages=decode_contents(body["contents"], extra),
        system=decode_system(body.get("systemInstruction")),
        tools=tools,
        tool_choice=choice,
        sampling=_sampling(config),
        reasoning=_reasoning(config),
        output=_output(config, extra),
        service_tier=facts.service_tier,
        stream=facts.stream,
        include_usage=True,
        extra=extra | _unknown(config),
    )


def _object(body: RawObject, name: str, path: str = "") -> RawObject:
    raw = body.get(name, wire.NOTHING)
    if not wire.given(raw):
        return {}
    found = decode_at(raw, RawObject, path or name)
    return {key: value for key, value in found.items() if value != wire.NULL}


def _sampling(config: RawObject) -> neutral.Sampling:
    return neutral.Sampling(
        **{
            word: decode_at(config[name], kind, f"{_CONFIG}.{name}")
            for name, (word, kind) in _KNOBS.items()
            if name in config
        }
    )


def _unknown(config: RawObject) -> Leftovers:
    known = {*_KNOBS, *_FORM, "thinkingConfig"}
    return {f"{_CONFIG}.{name}": raw for name, raw in config.items() if name not in known}


def _reasoning(config: RawObject) -> neutral.Reasoning | None:
    """Read how much to think; thoughts are told where there are any, so that wish says nothing."""
    raw = config.get("thinkingConfig")
    if raw is None:
        return None
    told = decode_at(raw, wire.ThinkingConfig, f"{_CONFIG}.thinkingConfig")
    level = (told.thinking_level or "").lower().removeprefix("thinking_level_")
    if level and level != "unspecified":
        return neutral.Reasoning(effort=level)
    budget = told.thinking_budget
    if budget is None:
        return neutral.Reasoning(mode="adaptive") if told.include_thoughts else None
    if budget == 0:
        return neutral.Reasoning(mode="disabled")
    if budget == _DYNAMIC:
        return neutral.Reasoning(mode="adaptive")
    return neutral.Reasoning(mode="enabled", budget_tokens=budget)


def _output(config: RawObject, extra: Leftovers) -> neutral.JsonSchema | neutral.JsonObject | None:
    mime = config.get("responseMimeType")
    kind = "" if mime is None else decode_at(mime, str, f"{_CONFIG}.responseMimeType")
    if kind != "application/json":
        left = _FORM & config.keys() if kind not in {"", "text/plain"} else frozenset()
        extra |= {f"{_CONFIG}.{name}": config[name] for name in sorted(left)}
        return None
    if "responseJsonSchema" in config:
        path = f"{_CONFIG}.responseJsonSchema"
        return neutral.JsonSchema(schema=plain_types(config["responseJsonSchema"], path))
    if "responseSchema" in config:
        schema = json_schema(config["responseSchema"], f"{_CONFIG}.responseSchema")
        return neutral.JsonSchema(schema=schema)
    return neutral.JsonObject()


def _offer(
    body: RawObject, extra: Leftovers
) -> tuple[tuple[neutral.Tool, ...], neutral.ToolChoice | None]:
    """Read tools and choice; functions that may not be called are not offered."""
    tools, (choice, allowed) = _tools(body, extra), _tool_choice(body, extra)
    if not allowed:
        return tools, choice
    kept = tuple(
        tool for tool in tools if isinstance(tool, neutral.BuiltinTool) or tool.name in allowed
    )
    if len(kept) < len(allowed):
        problem = "every allowed function has to be declared in 'tools'"
        raise refused(f"{_CALLING}.allowedFunctionNames", problem)
    return kept, choice


def _tools(body: RawObject, extra: Leftovers) -> tuple[neutral.Tool, ...]:
    raw = body.get("tools", wire.NOTHING)
    if not wire.given(raw):
        return ()
    tools: list[neutral.Tool] = []
    for number, kinds in enumerate(decode_at(raw, list[RawObject], "tools")):
        path = f"tools[{number}]"
        for kind, value in kinds.items():
            where = f"{path}.{kind}"
            if kind == "functionDeclarations":
                listed = (
                    decode_at(value, list[wire.Declaration], where) if wire.given(value) else ()
                )
                tools += [_function(f, f"{where}[{at}]", extra) for at, f in enumerate(listed)]
            elif value != wire.NULL:
                tools.append(neutral.BuiltinTool(kind=kind, raw=value, path=where))
    return tuple(tools)


def _function(said: wire.Declaration, path: str, extra: Leftovers) -> neutral.FunctionTool:
    if not said.name:
        raise required(f"{path}.name")
    extra |= {f"{path}.{name}": value for name, value in said.knobs().items()}
    parameters: msgspec.Raw | None = None
    if wire.given(said.parameters_json_schema):
        parameters = plain_types(said.parameters_json_schema, f"{path}.parametersJsonSchema")
    elif wire.given(said.parameters):
        parameters = json_schema(said.parameters, f"{path}.parameters")
    about = said.description
    return neutral.FunctionTool(
        name=said.name,
        description=wording_at(about, f"{path}.description") if wire.given(about) else None,
        parameters=parameters,
        path=path,
    )


def _tool_choice(
    body: RawObject, extra: Leftovers
) -> tuple[neutral.ToolChoice | None, frozenset[str]]:
    """Read the choice, and the functions it is among where those are not all."""
    found = _object(body, _TOOL_CONFIG)
    raw = found.pop("functionCallingConfig", None)
    extra |= {f"{_TOOL_CONFIG}.{name}": value for name, value in found.items()}
    if raw is None:
        return None, frozenset()
    config = decode_at(raw, wire.CallingConfig, _CALLING)
    mode, allowed = (config.mode or "").upper(), frozenset(config.allowed_function_names or ())
    if mode in {"", "MODE_UNSPECIFIED"}:
        return None, frozenset()
    if mode == "ANY" and len(allowed) == 1:
        return neutral.ToolChoice(mode="named", name=next(iter(allowed))), frozenset()
    match _MODES.get(mode):
        case "required":
            return neutral.ToolChoice(mode="required"), allowed
        case "none":
            return neutral.ToolChoice(mode="none"), frozenset()
        case "auto":
            return neutral.ToolChoice(mode="auto"), allowed
        case _:
            raise refused(f"{_CALLING}.mode", f"'{mode}' is none of {', '.join(_MODES)}")
