"""A client's tools and its choice among them; also the deprecated `functions`."""

from typing import Any

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.parts_in import cache_mark
from meterway.protocols.chat.openai_family import decode_at, optional, refused, required, wording_at

_Choice: Any = str | wire.ToolChoice
_Call: Any = str | wire.Named
_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def decode_tools(
    body: RawObject,
) -> tuple[tuple[neutral.Tool, ...], neutral.ToolChoice | None]:
    """Return the tools and the choice; a choice among allowed tools leaves the others out."""
    tools = [
        _tool(tool, f"tools[{place}]", place, body)
        for place, tool in enumerate(optional(body, "tools", list[wire.Tool]) or ())
    ]
    functions = optional(body, "functions", list[wire.ToolFunction])
    for place, function in enumerate(functions or ()):
        tools.append(_function(function, None, f"functions[{place}]", f"functions[{place}]"))
    raw = body.get("tool_choice", wire.NULL)
    if wire.given(raw):
        return _choose(raw, tuple(tools))
    raw = body.get("function_call", wire.NULL)
    return tuple(tools), _function_choice(raw) if wire.given(raw) else None


def _tool(tool: wire.Tool, path: str, place: int, body: RawObject) -> neutral.Tool:
    if tool.type != "function":
        raw = decode_at(body["tools"], list[msgspec.Raw], "tools")[place]
        return neutral.BuiltinTool(kind=tool.type, raw=raw, path=path)
    if tool.function is None:
        raise required(f"{path}.function")
    return _function(tool.function, tool.cache_control, path, f"{path}.function")


def _function(
    function: wire.ToolFunction, control: wire.CacheControl | None, path: str, where: str
) -> neutral.FunctionTool:
    said = function.description
    return neutral.FunctionTool(
        name=function.name,
        description=wording_at(said, f"{where}.description") if wire.given(said) else None,
        parameters=function.parameters if wire.given(function.parameters) else None,
        strict=function.strict,
        cache=cache_mark(control or function.cache_control),
        path=path,
    )


def _choose(
    raw: msgspec.Raw, tools: tuple[neutral.Tool, ...]
) -> tuple[tuple[neutral.Tool, ...], neutral.ToolChoice]:
    choice: str | wire.ToolChoice = decode_at(raw, _Choice, "tool_choice")
    if isinstance(choice, str):
        return tools, _mode(choice, "tool_choice")
    if choice.allowed_tools is not None:
        return _allowed(choice.allowed_tools, tools)
    chosen = choice.function or choice.custom
    if chosen is None:
        raise required(f"tool_choice.{choice.type}")
    return tools, neutral.ToolChoice(mode="named", name=chosen.name)


def _allowed(
    allowed: wire.AllowedTools, tools: tuple[neutral.Tool, ...]
) -> tuple[tuple[neutral.Tool, ...], neutral.ToolChoice]:
    path = "tool_choice.allowed_tools"
    names = {
        chosen.name
        for item in allowed.tools
        if (chosen := item.function or item.custom) is not None
    }
    kept = tuple(tool for tool in tools if _name(tool) in names)
    if len(kept) < len(names) or not kept:
        raise refused(f"{path}.tools", "every allowed tool has to be one of 'tools'.")
    return kept, _mode(allowed.mode, f"{path}.mode")


def _name(tool: neutral.Tool) -> str | None:
    if isinstance(tool, neutral.FunctionTool):
        return tool.name
    named = decode_at(tool.raw, wire.ToolChoice, tool.path)
    return named.custom.name if named.custom else None


def _mode(word: str, path: str) -> neutral.ToolChoice:
    match _MODES.get(word):
        case "auto":
            return neutral.ToolChoice(mode="auto")
        case "none":
            return neutral.ToolChoice(mode="none")
        case "required":
            return neutral.ToolChoice(mode="required")
        case _:
            raise refused(path, "supported values are 'none', 'auto' and 'required'.")


def _function_choice(raw: msgspec.Raw) -> neutral.ToolChoice:
    choice: str | wire.Named = decode_at(raw, _Call, "function_call")
    if isinstance(choice, str):
        return _mode(choice, "function_call")
    return neutral.ToolChoice(mode="named", name=choice.name)
