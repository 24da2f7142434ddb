"""Reading a client's request: Anthropic's wire to the neutral form.

Follows https://platform.claude.com/docs/en/api/messages. What the neutral form has no word for
stands in `Request.extra`: unknown top-level fields under their name, parts of known fields under
their path, such as `thinking.display` or `tools.0.defer_loading`.
"""

from typing import TypeVar

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_family import decode_at, refused, required, wording_at
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.content_in import (
    Leftovers,
    cache_mark,
    decode_messages,
    decode_system,
)
from meterway.protocols.chat.anthropic_messages.usage import decode_tier, service_of
from meterway.protocols.chat.anthropic_messages.usual_in import read_usual
from meterway.protocols.chat.codec import Facts

T = TypeVar("T")
_TRUE = wire.Raw(b"true")
_FALSE = wire.Raw(b"false")
_KNOWN = frozenset({
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "temperature", "top_p",
    "top_k", "stop_sequences", "stream", "metadata", "thinking", "output_config", "output_format",
    "service_tier",
})  # fmt: skip


def facts(body: RawObject) -> Facts:
    """Read what routing and metering need. Raises `InvalidRequestError`."""
    if "model" not in body:
        raise required("model")
    return Facts(
        model=decode_at(body["model"], str, "model"),
        stream=_stream(body),
        service_tier=service_of(
            _optional(body, "service_tier", str),
            _optional(body, "speed", str),
            _optional(body, "inference_geo", str),
        ),
        max_tokens=_optional(body, "max_tokens", int),
    )


def decode_request(body: RawObject) -> neutral.Request:
    """Read a request. Raises `InvalidRequestError` naming the path at fault."""
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise required(name)
    extra: Leftovers = {
        name: value for name, value in body.items() if name not in _KNOWN and value != wire.NULL
    }
    choice, parallel = _tool_choice(body) if "tool_choice" in body else (None, None)
    return neutral.Request(
        model=decode_at(body["model"], str, "model"),
        messages=read_usual(body["messages"]) or decode_messages(body["messages"], extra),
        system=decode_system(body.get("system"), extra),
        tools=_tools(body, extra) if "tools" in body else (),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        sampling=_sampling(body),
        reasoning=_reasoning(body, extra),
        output=_output(body, extra),
        service_tier=decode_tier(_optional(body, "service_tier", str)),
        user=_user(body, extra) if "metadata" in body else None,
        stream=_stream(body),
        include_usage=True,
        extra=extra,
    )


def _optional(body: RawObject, name: str, kind: type[T]) -> T | None:
    raw = body.get(name)
    if raw is None or raw == wire.NULL:
        return None
    return decode_at(raw, kind, name)


def _stream(body: RawObject) -> bool:
    raw = body.get("stream")
    if raw is None or raw in (_FALSE, wire.NULL):
        return False
    return True if raw == _TRUE else decode_at(raw, bool, "stream")


def _sampling(body: RawObject) -> neutral.Sampling:
    max_tokens = decode_at(body["max_tokens"], int, "max_tokens")
    if max_tokens < 0:
        raise refused("max_tokens", "Input should be greater than or equal to 0")
    return neutral.Sampling(
        max_tokens=max_tokens,
        temperature=_optional(body, "temperature", float),
        top_p=_optional(body, "top_p", float),
        top_k=_optional(body, "top_k", int),
        stop=_optional(body, "stop_sequences", tuple[str, ...]) or (),
    )


def _tools(body: RawObject, extra: Leftovers) -> tuple[neutral.Tool, ...]:
    tools = _optional(body, "tools", list[wire.Tool])
    if not tools:
        return ()
    return tuple([_tool(tool, place, body["tools"], extra) for place, tool in enumerate(tools)])


def _tool(tool: wire.Tool, place: int, raws: msgspec.Raw, extra: Leftovers) -> neutral.Tool:
    path = f"tools.{place}"
    if tool.type not in (None, "custom"):
        raw = decode_at(raws, list[msgspec.Raw], "tools")[place]
        return neutral.BuiltinTool(kind=tool.type, raw=raw, path=path)
    if tool.name is None:
        raise required(f"{path}.name")
    said, schema = tool.description, tool.input_schema
    if not wire.given(schema):
        raise required(f"{path}.input_schema")
    if not wire.is_object(schema):
        raise refused(f"{path}.input_schema", "Input should be a valid dictionary")
    if not tool.is_plain():
        extra |= {f"{path}.{knob}": value for knob, value in tool.knobs().items()}
    return neutral.FunctionTool(
        name=tool.name,
        description=wording_at(said, f"{path}.description") if wire.given(said) else None,
        parameters=schema,
        strict=tool.strict,
        cache=cache_mark(tool.cache_control),
        path=path,
    )


def _tool_choice(body: RawObject) -> tuple[neutral.ToolChoice | None, bool | None]:
    choice = _optional(body, "tool_choice", wire.ToolChoice)
    if choice is None:
        return None, None
    serial = choice.disable_parallel_tool_use
    parallel = None if serial is None else not serial
    match choice.type:
        case "auto":
            return neutral.ToolChoice(mode="auto"), parallel
        case "any":
            return neutral.ToolChoice(mode="required"), parallel
        case "none":
            return neutral.ToolChoice(mode="none"), parallel
        case "tool":
            if choice.name is None:
                raise required("tool_choice.name")
            return neutral.ToolChoice(mode="named", name=choice.name), parallel
        case _:
            raise refused("tool_choice.type", "Input should be 'auto', 'any', 'tool' or 'none'")


def _reasoning(body: RawObject, extra: Leftovers) -> neutral.Reasoning | None:
    effort = _effort(body)
    thinking = _optional(body, "thinking", wire.Thinking)
    if thinking is None:
        return neutral.Reasoning(effort=effort) if effort else None
    if thinking.display is not None:
        extra["thinking.display"] = msgspec.Raw(msgspec.json.encode(thinking.display))
    match thinking.type:
        case "enabled":
            if thinking.budget_tokens is None:
                raise required("thinking.budget_tokens")
            return neutral.Reasoning(
                mode="enabled", budget_tokens=thinking.budget_tokens, effort=effort
            )
        case "adaptive":
            return neutral.Reasoning(mode="adaptive", effort=effort)
        case "disabled":
            return neutral.Reasoning(mode="disabled", effort=effort)
        case _:
            extra["thinking"] = body["thinking"]
            return neutral.Reasoning(effort=effort) if effort else None


def _effort(body: RawObject) -> str | None:
    config = _optional(body, "output_config", RawObject) or {}
    raw = config.get("effort")
    if raw is None or raw == wire.NULL:
        return None
    return decode_at(raw, str, "output_config.effort")


def _output(body: RawObject, extra: Leftovers) -> neutral.JsonSchema | None:
    config = _optional(body, "output_config", RawObject) or {}
    for name, value in config.items():
        if name not in ("effort", "format") and value != wire.NULL:
            extra[f"output_config.{name}"] = value
    for raw, path in (
        (config.get("format"), "output_config.format"),
        (body.get("output_format"), "output_format"),
    ):
        if raw is not None and raw != wire.NULL:
            return _json_schema(decode_at(raw, wire.OutputFormat, path), path)
    return None


def _json_schema(form: wire.OutputFormat, path: str) -> neutral.JsonSchema:
    if form.type != "json_schema":
        raise refused(f"{path}.type", "Input should be 'json_schema'")
    if not wire.given(form.schema):
        raise required(f"{path}.schema")
    return neutral.JsonSchema(schema=form.schema)


def _user(body: RawObject, extra: Leftovers) -> str | None:
    metadata = _optional(body, "metadata", RawObject) or {}
    for name, value in metadata.items():
        if name != "user_id" and value != wire.NULL:
            extra[f"metadata.{name}"] = value
    raw = metadata.get("user_id")
    if raw is None or raw == wire.NULL:
        return None
    return decode_at(raw, str, "metadata.user_id")
