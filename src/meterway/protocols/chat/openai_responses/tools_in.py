"""A client's tools, as functions: what any model can be offered (ADR 0010, point 7).

A custom tool becomes a function of one string, `input`; its grammar is told in the description.
Tools in namespaces become functions under names of their own. Tools their vendor runs are left out
and named, as agents offer them with every call; where one is the only tool, or is demanded, it
stays, for the upstream's codec to refuse by name.
"""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_family import decode_at, refused, required, wording_at
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.names import ToolNames
from meterway.protocols.chat.wording import words_of

INPUT = "input"  # the one parameter of a custom tool's function
_Choice: Any = str | wire.ToolChoice
_MODES = ("auto", "none", "required")
_CUSTOM = json.raw(
    {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The tool's whole input."}},
        "required": [INPUT],
        "additionalProperties": False,
    }
)


class _Grammar(msgspec.Struct):
    type: str = "text"
    syntax: str = ""
    definition: str = ""


class Offer(msgspec.Struct, frozen=True):
    """The tools a request offers, which it demands, and those left out, by path and kind."""

    tools: tuple[neutral.Tool, ...] = ()
    choice: neutral.ToolChoice | None = None
    left_out: dict[str, msgspec.Raw] = {}


_NO_OFFER = Offer()


def decode_tools(body: RawObject, tools: list[wire.Tool], names: ToolNames) -> Offer:
    """Read tools and choice. Raises `InvalidRequestError` naming the path at fault."""
    raw = body.get("tool_choice", wire.NULL)
    if not tools and not wire.given(raw):
        return _NO_OFFER
    read = [tool for place, one in enumerate(tools) for tool in _tools(one, place, body, names)]
    if not wire.given(raw):
        return _offered(read, None)
    choice: str | wire.ToolChoice = decode_at(raw, _Choice, "tool_choice")
    if isinstance(choice, str):
        return _offered(read, _mode(choice, "tool_choice"))
    return _chosen(choice, read, names)


def _chosen(choice: wire.ToolChoice, read: list[neutral.Tool], names: ToolNames) -> Offer:
    if choice.type == "allowed_tools":
        mode = _mode(choice.mode or "auto", "tool_choice.mode")
        return _offered(_allowed(choice.tools or [], read, names), mode)
    if choice.type in {"function", "custom"}:
        if choice.name is None:
            raise required("tool_choice.name")
        name = names.flat(None, choice.name)
        return _offered(read, neutral.ToolChoice(mode="named", name=name))
    demanded = [tool for tool in read if _is_builtin(tool, choice.type)]
    if not demanded:
        raise refused("tool_choice.type", f"'{choice.type}' is none of 'tools'.")
    return Offer(tuple(demanded), neutral.ToolChoice(mode="required"))


def _allowed(
    wished: list[wire.ToolChoice], read: list[neutral.Tool], names: ToolNames
) -> list[neutral.Tool]:
    """Return the tools allowed; a namespace allows all of its own."""
    functions = {names.flat(None, one.name) for one in wished if one.name is not None}
    spaces = {one.name for one in wished if one.type == "namespace"}
    kinds = {one.type for one in wished}
    kept = [
        tool
        for tool in read
        if (
            tool.kind in kinds
            if isinstance(tool, neutral.BuiltinTool)
            else tool.name in functions or names.declared(tool.name).namespace in spaces - {None}
        )
    ]
    if not kept:
        raise refused("tool_choice.tools", "every allowed tool has to be one of 'tools'.")
    return kept


def _is_builtin(tool: neutral.Tool, kind: str) -> bool:
    return isinstance(tool, neutral.BuiltinTool) and tool.kind == kind


def _offered(read: list[neutral.Tool], choice: neutral.ToolChoice | None) -> Offer:
    """Leave the vendor's own tools out where the model may do without them."""
    functions = tuple(tool for tool in read if isinstance(tool, neutral.FunctionTool))
    others = [tool for tool in read if isinstance(tool, neutral.BuiltinTool)]
    mode = None if choice is None else choice.mode
    if others and not functions and mode != "none":
        return Offer(tuple(others), choice)
    left_out = {f"{tool.path}.{tool.kind}": tool.raw for tool in others}
    return Offer(functions, choice if functions else None, left_out)


def _mode(word: str, path: str) -> neutral.ToolChoice:
    match word:
        case "auto" | "none" | "required":
            return neutral.ToolChoice(mode=word)
        case _:
            raise refused(path, f"supported values are {', '.join(_MODES)}.")


def _tools(tool: wire.Tool, place: int, body: RawObject, names: ToolNames) -> list[neutral.Tool]:
    path = f"tools[{place}]"
    if tool.type == "namespace":
        if tool.name is None:
            raise required(f"{path}.name")
        return [
            _function(one, names.flat(tool.name, _name(one, where)), where)
            for number, one in enumerate(tool.tools or ())
            if (where := f"{path}.tools[{number}]")
        ]
    if tool.type in {"function", "custom"}:
        return [_function(tool, names.flat(None, _name(tool, path)), path)]
    raw = decode_at(body["tools"], list[msgspec.Raw], "tools")[place]
    return [neutral.BuiltinTool(kind=tool.type, raw=raw, path=path)]


def _name(tool: wire.Tool, path: str) -> str:
    if tool.type not in {"function", "custom"}:
        raise refused(f"{path}.type", "a namespace holds function and custom tools.")
    if tool.name is None:
        raise required(f"{path}.name")
    return tool.name


def _function(tool: wire.Tool, name: str, path: str) -> neutral.FunctionTool:
    said = tool.description
    description = wording_at(said, f"{path}.description") if wire.given(said) else None
    if tool.type == "function":
        parameters = tool.parameters if wire.given(tool.parameters) else None
        return neutral.FunctionTool(
            name=name,
            description=description,
            parameters=parameters,
            strict=tool.strict,
            path=path,
        )
    if wire.given(tool.format):
        told = None if description is None else words_of(description)
        description = _with_grammar(told, decode_at(tool.format, _Grammar, f"{path}.format"))
    return neutral.FunctionTool(name=name, description=description, parameters=_CUSTOM, path=path)


def _with_grammar(description: str | None, grammar: _Grammar) -> str | None:
    if grammar.type != "grammar":
        return description
    rule = f"The input has to follow this {grammar.syntax} grammar:\n{grammar.definition}"
    return f"{description}\n\n{rule}" if description else rule
