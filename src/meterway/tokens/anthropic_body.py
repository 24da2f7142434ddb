"""Takes apart the body of an Anthropic Messages request.

Fields follow https://docs.anthropic.com/en/api/messages-count-tokens; unknown ones are ignored.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meterway.tokens import drafts
from meterway.tokens.drafts import Draft, Image, Kind, Piece, Reading, Thinking, Tool, ToolUse, need
from meterway.tokens.images import pdf_pages, size_of_base64

_UNSEEN = frozenset({"cache_control", "type", "id", "tool_use_id", "citations", "signature"})
_SYSTEM: Final = "system"


def read(body: Mapping[str, msgspec.Raw]) -> Reading:
    """Cut a body into pieces; raises `InvalidRequestError` where `messages` can't be read."""
    pieces = drafts.messages(body.get("messages"))
    for kind, key in ((Kind.SYSTEM, "system"), (Kind.TOOLS, "tools")):
        raw = body.get(key)
        if raw is not None and drafts.is_given(raw):
            pieces.append(Piece(kind, key, raw))
    return Reading(pieces, _tool_use(body.get("tool_choice")), _thinking(body.get("thinking")))


def _thinking(raw: msgspec.Raw | None) -> Thinking:
    if raw is None or not drafts.is_given(raw):
        return Thinking.OFF
    kind = need(drafts.decode(raw, "thinking"), "object", "thinking").get("type")
    return Thinking(kind) if kind in (Thinking.ENABLED, Thinking.ADAPTIVE) else Thinking.OFF


def _tool_use(raw: msgspec.Raw | None) -> ToolUse:
    if raw is None or not drafts.is_given(raw):
        return ToolUse.AUTO
    choice = need(drafts.decode(raw, "tool_choice"), "object", "tool_choice")
    kind = need(choice.get("type"), "string", "tool_choice.type")
    return {"any": ToolUse.ANY, "tool": ToolUse.NAMED}.get(kind, ToolUse.AUTO)


def draft(piece: Piece) -> Draft:
    """Take one piece apart; raises `InvalidRequestError` naming the path of what can't be read."""
    value = drafts.decode(piece.raw, piece.path)
    if piece.kind is Kind.TOOLS:
        return _tools(need(value, "array", piece.path), piece.path)
    if piece.kind is Kind.SYSTEM:
        out = Draft(role=_SYSTEM)
        drafts.content(out, value, piece.path, _block)
        return out
    message = need(value, "object", piece.path)
    out = Draft(role=need(message.get("role"), "string", f"{piece.path}.role"))
    content = message.get("content")
    drafts.content(out, content, f"{piece.path}.content", _block)
    blocks = content if isinstance(content, list) else [{}]
    is_reply = all(block.get("type") == "tool_result" for block in blocks)
    out.opens_turn = out.role == "user" and not is_reply
    return out


def _tools(rows: list[Any], path: str) -> Draft:
    out = Draft(sure=not rows)
    for at, row in enumerate(rows):
        tool = need(row, "object", f"{path}.{at}")
        name = need(tool.get("name"), "string", f"{path}.{at}.name")
        schema, text = tool.get("input_schema"), tool.get("description")
        where = f"{path}.{at}.input_schema"
        parameters = None if schema is None else need(schema, "object", where)
        out.tools.append(Tool(name, text if isinstance(text, str) else "", parameters))
    return out


def _block(out: Draft, block: dict[str, Any], path: str) -> None:
    match block["type"]:
        case "text":
            out.texts.append(need(block.get("text"), "string", f"{path}.text"))
        case "image":
            out.images.append(_image(need(block.get("source"), "object", f"{path}.source"), path))
        case "document":
            _document(out, block, path)
        case "thinking":
            out.thinking.append(need(block.get("thinking"), "string", f"{path}.thinking"))
        case "redacted_thinking":
            out.thinking.append(need(block.get("data"), "string", f"{path}.data"))
            out.sure = False
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            _call(out, block, path)
        case "tool_result":
            _result(out, block, path)
        case _:
            out.sure = False
            _strings(out, {k: v for k, v in block.items() if k not in _UNSEEN})


def _image(source: dict[str, Any], path: str) -> Image:
    if source.get("type") != "base64":
        return Image(None)
    return Image(size_of_base64(need(source.get("data"), "string", f"{path}.source.data")))


def _document(out: Draft, block: dict[str, Any], path: str) -> None:
    source = need(block.get("source"), "object", f"{path}.source")
    out.sure = False
    out.texts += [block[key] for key in ("title", "context") if isinstance(block.get(key), str)]
    match source.get("type"):
        case "base64":
            out.pages += pdf_pages(need(source.get("data"), "string", f"{path}.source.data"))
        case "text":
            out.texts.append(need(source.get("data"), "string", f"{path}.source.data"))
        case "content":
            drafts.content(out, source.get("content"), f"{path}.source.content", _block)
        case _:
            out.pages += 1


def _call(out: Draft, block: dict[str, Any], path: str) -> None:
    out.sure = False
    out.calls += 1
    out.texts.append(need(block.get("name"), "string", f"{path}.name"))
    for key, value in need(block.get("input"), "object", f"{path}.input").items():
        out.arguments += 1
        out.texts += [key, value if isinstance(value, str) else json.dumps(value)]


def _result(out: Draft, block: dict[str, Any], path: str) -> None:
    out.sure = False
    blocks = out.blocks
    if block.get("content") is not None:
        drafts.content(out, block["content"], f"{path}.content", _block)
    out.blocks = blocks


def _strings(out: Draft, value: Any) -> None:
    """Count the text of a block of a kind we don't know, however deep it lies."""
    if isinstance(value, str):
        out.texts.append(value)
    elif isinstance(value, dict):
        for inner in value.values():
            _strings(out, inner)
    elif isinstance(value, list):
        for inner in value:
            _strings(out, inner)
