"""Takes apart the body of an OpenAI chat completions request.

Fields follow https://platform.openai.com/docs/api-reference/chat/create; unknown ones are ignored.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from meterway.tokens import drafts
from meterway.tokens.drafts import Draft, Image, Kind, Piece, Reading, Tool, ToolUse, need
from meterway.tokens.images import pdf_pages, size_of_base64


def read(body: Mapping[str, msgspec.Raw]) -> Reading:
    """Cut a body into pieces; raises `InvalidRequestError` where `messages` can't be read."""
    pieces = drafts.messages(body.get("messages"))
    tools = body.get("tools")
    if tools is not None and drafts.is_given(tools):
        pieces.append(Piece(Kind.TOOLS, "tools", tools))
    return Reading(pieces, _tool_use(body.get("tool_choice")))


def _tool_use(raw: msgspec.Raw | None) -> ToolUse:
    if raw is None or not drafts.is_given(raw):
        return ToolUse.AUTO
    choice = drafts.decode(raw, "tool_choice")
    if isinstance(choice, dict):
        return ToolUse.NAMED
    return ToolUse.ANY if choice == "required" else ToolUse.AUTO


def draft(piece: Piece) -> Draft:
    """Take one piece apart; raises `InvalidRequestError` naming the path of what can't be read."""
    value = drafts.decode(piece.raw, piece.path)
    if piece.kind is Kind.TOOLS:
        return _tools(need(value, "array", piece.path), piece.path)
    message = need(value, "object", piece.path)
    out = Draft(role=need(message.get("role"), "string", f"{piece.path}.role"))
    out.opens_turn = out.role == "user"
    if isinstance(message.get("name"), str):
        out.named = True
        out.texts.append(message["name"])
    calls = message.get("tool_calls") or []
    if message.get("content") is not None or out.role != "assistant":
        drafts.content(out, message.get("content"), f"{piece.path}.content", _part)
    for at, call in enumerate(need(calls, "array", f"{piece.path}.tool_calls")):
        _call(out, need(call, "object", f"{piece.path}.tool_calls.{at}"))
    if isinstance(reasoning := message.get("reasoning_content"), str):
        out.thinking.append(reasoning)
    return out


def _tools(rows: list[Any], path: str) -> Draft:
    out = Draft(sure=not rows)
    for at, row in enumerate(rows):
        tool = need(row, "object", f"{path}.{at}")
        where = f"{path}.{at}.function"
        function = need(tool.get("function", tool.get("custom")), "object", where)
        text, schema = function.get("description"), function.get("parameters")
        parameters = {} if schema is None else need(schema, "object", f"{where}.parameters")
        name = need(function.get("name"), "string", f"{where}.name")
        out.tools.append(Tool(name, text if isinstance(text, str) else "", parameters))
    return out


def _part(out: Draft, part: dict[str, Any], path: str) -> None:
    match part["type"]:
        case "text":
            out.texts.append(need(part.get("text"), "string", f"{path}.text"))
        case "refusal":
            out.texts.append(need(part.get("refusal"), "string", f"{path}.refusal"))
        case "image_url":
            image = need(part.get("image_url"), "object", f"{path}.image_url")
            url = need(image.get("url"), "string", f"{path}.image_url.url")
            inline = url.startswith("data:") and ";base64," in url[:128]
            size = size_of_base64(url.partition(",")[2]) if inline else None
            out.images.append(Image(size, low_detail=image.get("detail") == "low"))
        case "file":
            file = need(part.get("file"), "object", f"{path}.file")
            encoded = file.get("file_data")
            out.sure = False
            out.pages += pdf_pages(encoded.rpartition(",")[2]) if isinstance(encoded, str) else 1
        case _:
            out.sure = False


def _call(out: Draft, call: dict[str, Any]) -> None:
    out.sure = False
    out.calls += 1
    function = call.get("function", call.get("custom"))
    if isinstance(function, dict):
        fields = (function.get(key) for key in ("name", "arguments", "input"))
        out.texts += [text for text in fields if isinstance(text, str)]
