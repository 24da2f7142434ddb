"""A whole reply in the neutral form, written as a chat completion.

Follows https://platform.openai.com/docs/api-reference/chat/object: nullable keys are there, null.
"""

from typing import Any, TypeAlias, assert_never

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat.reasoning import encode_reasoning
from meterway.protocols.chat.openai_chat.stops import encode_stop
from meterway.protocols.chat.openai_chat.wire import TIERS, signed
from meterway.protocols.chat.openai_family import encode_usage
from meterway.protocols.chat.wording import Wording, joined
from meterway.protocols.errors import BadReplyError

Wire: TypeAlias = dict[str, Any]
NAMELESS = "chatcmpl-unnamed"


def encode_reply(reply: neutral.Reply, now: int) -> bytes:
    """Write a reply for a client; `now`, in seconds, is used where it has no time of its own."""
    body: Wire = {
        "id": reply.id or NAMELESS,
        "object": "chat.completion",
        "created": now if reply.created is None else reply.created,
        "model": reply.model,
        "choices": [_choice(choice) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    if reply.service_tier in TIERS:
        body["service_tier"] = reply.service_tier
    body["system_fingerprint"] = reply.system_fingerprint
    return json.encode(body)


def _choice(choice: neutral.Choice) -> Wire:
    message = _message(choice.parts)
    reason = encode_stop(choice.stop, has_refusal=message["refusal"] is not None)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": reason,
    }


def _message(parts: tuple[neutral.AssistantPart, ...]) -> Wire:
    texts: list[Wording] = []
    refusals: list[str] = []
    calls: list[Wire] = []
    rest: Wire = {}
    thinks = False
    for part in parts:
        match part:
            case neutral.Text(text=text):
                texts.append(text)
            case neutral.Refusal(text=text):
                refusals.append(text)
            case neutral.ToolCall():
                calls.append(_call(part))
            case neutral.Thinking() | neutral.RedactedThinking():
                thinks = True  # written below, from all parts at once
            case neutral.Image():
                rest.setdefault("images", []).append(_image(part))
            case neutral.Document() | neutral.Audio() | neutral.Foreign():
                kind = type(part).__name__.lower()
                raise BadReplyError(f"The upstream's reply holds a part ({kind}) nobody can read.")
            case _:
                assert_never(part)
    message: Wire = {
        "role": "assistant",
        "content": joined(texts, "") if texts else None,
        "refusal": "".join(refusals) if refusals else None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = calls
    if thinks:
        message |= encode_reasoning(parts)
    return message | rest if rest else message


def _call(part: neutral.ToolCall) -> Wire:
    function = {"name": part.name, "arguments": part.arguments}
    return signed({"id": part.id, "type": "function", "function": function}, part.signature)


def _image(part: neutral.Image) -> Wire:
    match part.source:
        case sources.UrlSource(url=url):
            return {"type": "image_url", "image_url": {"url": url}}
        case sources.DataSource(media_type=media_type, data=data):
            return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
        case sources.FileSource(file_id=file_id):
            return {"type": "image_file", "image_file": {"file_id": file_id}}
        case _:
            assert_never(part.source)
