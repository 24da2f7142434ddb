"""Takes apart the body of a Gemini request, its names in camel case.

Fields follow https://ai.google.dev/api/tokens; unknown ones are ignored.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meterway.tokens import drafts
from meterway.tokens.drafts import Draft, Image, Kind, Piece, Reading, Tool, ToolUse, need
from meterway.tokens.images import pdf_pages, size_of_base64

_PIECES: Final = ((Kind.SYSTEM, "systemInstruction"), (Kind.TOOLS, "tools"))
_ROLES: Final = {"model": "assistant"}
_DECLARED: Final = "functionDeclarations"


def read(body: Mapping[str, msgspec.Raw]) -> Reading:
    """Cut a body into pieces; raises `InvalidRequestError` where `contents` can't be read."""
    pieces = drafts.messages(body.get("contents"), "contents")
    for kind, key in _PIECES:
        raw = body.get(key)
        if raw is not None and drafts.is_given(raw):
            pieces.append(Piece(kind, key, raw))
    return Reading(pieces, _tool_use(body.get("toolConfig")))


def _tool_use(raw: msgspec.Raw | None) -> ToolUse:
    if raw is None or not drafts.is_given(raw):
        return ToolUse.AUTO
    config = need(drafts.decode(raw, "toolConfig"), "object", "toolConfig")
    calling = config.get("functionCallingConfig") or {}
    where = "toolConfig.functionCallingConfig"
    mode = need(calling, "object", where).get("mode")
    if mode != "ANY":
        return ToolUse.AUTO
    allowed = need(
        calling.get("allowedFunctionNames") or [], "array", f"{where}.allowedFunctionNames"
    )
    return ToolUse.NAMED if len(allowed) == 1 else ToolUse.ANY


def draft(piece: Piece) -> Draft:
    """Take one piece apart; raises `InvalidRequestError` naming the path of what can't be read."""
    value = drafts.decode(piece.raw, piece.path)
    if piece.kind is Kind.TOOLS:
        return _tools(need(value, "array", piece.path), piece.path)
    content = need(value, "object", piece.path)
    role = need(content.get("role") or "user", "string", f"{piece.path}.role")
    out = Draft(role="system" if piece.kind is Kind.SYSTEM else _ROLES.get(role, role))
    parts = need(content.get("parts"), "array", f"{piece.path}.parts")
    for at, part in enumerate(parts):
        where = f"{piece.path}.parts.{at}"
        out.blocks += 1
        _part(out, need(part, "object", where), where)
    is_reply = all("functionResponse" in part for part in parts)
    out.opens_turn = out.role == "user" and not is_reply
    return out


def _tools(rows: list[Any], path: str) -> Draft:
    out = Draft(sure=not rows)
    for at, row in enumerate(rows):
        where = f"{path}.{at}.{_DECLARED}"
        tool = need(row, "object", f"{path}.{at}")
        for place, function in enumerate(need(tool.get(_DECLARED) or [], "array", where)):
            declared = need(function, "object", f"{where}.{place}")
            name = need(declared.get("name"), "string", f"{where}.{place}.name")
            text = declared.get("description")
            schema = declared.get("parametersJsonSchema") or declared.get("parameters")
            parameters = schema if isinstance(schema, dict) else {}
            out.tools.append(Tool(name, text if isinstance(text, str) else "", parameters))
    return out


def _part(out: Draft, part: dict[str, Any], path: str) -> None:
    if "text" in part:
        text = need(part["text"], "string", f"{path}.text")
        (out.thinking if part.get("thought") else out.texts).append(text)
    elif "inlineData" in part:
        _media(out, need(part["inlineData"], "object", f"{path}.inlineData"))
    elif "fileData" in part:
        _media(out, need(part["fileData"], "object", f"{path}.fileData"))
    elif "functionCall" in part:
        _call(out, need(part["functionCall"], "object", f"{path}.functionCall"))
    else:
        out.sure = False
        out.texts.append(json.dumps(part))  # a result, or a part of a kind we don't know


def _media(out: Draft, blob: dict[str, Any]) -> None:
    """Add bytes, or their address, which is never fetched: it may be of any size."""
    kind, encoded = str(blob.get("mimeType")), blob.get("data")
    if kind.startswith("image/"):
        out.images.append(Image(size_of_base64(encoded) if isinstance(encoded, str) else None))
        return
    out.sure = False
    is_pdf = kind == "application/pdf" and isinstance(encoded, str)
    out.pages += pdf_pages(encoded) if is_pdf and isinstance(encoded, str) else 1


def _call(out: Draft, call: dict[str, Any]) -> None:
    out.sure = False
    out.calls += 1
    out.texts.append(str(call.get("name") or ""))
    arguments = call.get("args")
    for key, value in arguments.items() if isinstance(arguments, dict) else ():
        out.arguments += 1
        out.texts += [key, value if isinstance(value, str) else json.dumps(value)]
