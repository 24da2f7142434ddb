"""A whole reply, written for a Gemini client.

Follows https://ai.google.dev/api/generate-content#GenerateContentResponse. A refusal is written as
text, and ends with SAFETY, as no other reason tells it from an answer.
"""

from typing import Any, TypeAlias, assert_never

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.logprobs import encode_logprobs
from meterway.protocols.chat.gemini.marks import write_redacted, write_signature
from meterway.protocols.chat.gemini.stops import encode_stop
from meterway.protocols.chat.gemini.usage import encode_usage
from meterway.protocols.errors import BadReplyError

Wire: TypeAlias = dict[str, Any]
_MODEL = "model"
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode_reply(reply: neutral.Reply) -> bytes:
    """Write a reply. Raises `BadReplyError` where it holds a part the dialect cannot say."""
    body: Wire = {"candidates": [_candidate(choice) for choice in reply.choices]}
    if reply.usage is not None:
        body["usageMetadata"] = encode_usage(reply.usage, reply.service_tier)
    return json.encode(body | named(reply.id, reply.model))


def named(id_: str, model: str) -> Wire:
    """Return the fields that name a reply and the model that gave it."""
    return {"modelVersion": model} | ({"responseId": id_} if id_ else {})


def _candidate(choice: neutral.Choice) -> Wire:
    parts = [_part(part) for part in choice.parts]
    written: Wire = {
        "content": content_of(parts or [{"text": ""}]),
        "finishReason": encode_stop(choice.stop),
        "index": choice.index,
    }
    if choice.logprobs is not None and (told := encode_logprobs(choice.logprobs)) is not None:
        written["logprobsResult"] = told
    return written


def content_of(parts: list[Wire]) -> Wire:
    """Return the turn that `parts` make."""
    return {"parts": parts, "role": _MODEL}


def _part(part: neutral.AssistantPart) -> Wire:
    match part:
        case neutral.Text(text=text) | neutral.Refusal(text=text):
            return {"text": text}
        case neutral.Thinking(text=text, signature=signature):
            return thought_of(text, signature)
        case neutral.RedactedThinking(data=data):
            return redacted_of(data)
        case neutral.ToolCall():
            return call_of(part.id, part.name, part.arguments, part.signature)
        case neutral.Image() | neutral.Audio() | neutral.Document() | neutral.Foreign():
            return _media(part)
        case _:
            assert_never(part)


def _media(part: neutral.Image | neutral.Audio | neutral.Document | neutral.Foreign) -> Wire:
    match part:
        case neutral.Image(source=sources.DataSource(media_type=kind, data=data)):
            return {"inlineData": {"mimeType": kind, "data": data}}
        case neutral.Image(source=sources.UrlSource(url=url)):
            return {"fileData": {"fileUri": url}}
        case neutral.Audio(data=data, format=form):
            return {"inlineData": {"mimeType": f"audio/{form}", "data": data}}
        case _:
            kind = part.kind if isinstance(part, neutral.Foreign) else type(part).__name__.lower()
            raise BadReplyError(
                f"The upstream's reply holds a part a Gemini client cannot be told: {kind}."
            )


def thought_of(text: str, signature: str | None) -> Wire:
    """Return a part of reasoning."""
    written: Wire = {"text": text, "thought": True}
    if signature is not None:
        written["thoughtSignature"] = write_signature(signature)
    return written


def redacted_of(data: str) -> Wire:
    """Return a part of reasoning that its vendor encrypted."""
    return {"text": "", "thought": True, "thoughtSignature": write_redacted(data)}


def call_of(id_: str, name: str, arguments: str, signature: str | None) -> Wire:
    """Return a part that calls a function; arguments that are no object stand as text in one."""
    raw = arguments.strip().encode() or b"{}"
    args: Any = msgspec.Raw(raw)
    try:
        _raw_object.decode(raw)
    except wire.UNREADABLE:
        args = {"INVALID_JSON": arguments}
    call: Wire = {"id": id_} if id_ else {}
    written: Wire = {"functionCall": call | {"name": name, "args": args}}
    if signature is not None:
        written["thoughtSignature"] = signature
    return written
