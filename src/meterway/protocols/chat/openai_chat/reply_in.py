"""A whole chat completion from an upstream, read into the neutral form."""

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.reasoning import decode_reasoning, details_of, text_of
from meterway.protocols.chat.openai_chat.stops import decode_stop
from meterway.protocols.chat.openai_chat.usage import decode_usage
from meterway.protocols.chat.openai_errors import decode_error, inner_error
from meterway.protocols.chat.openai_sources import decode_image_url
from meterway.protocols.errors import BadReplyError

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(wire.Reply).decode
_decode_part = msgspec.json.Decoder(wire.Part).decode
_decode_call = msgspec.json.Decoder(wire.ToolCall).decode
_NOT_IN_IDS = str.maketrans(dict.fromkeys(".:/ #|", "_"))


def decode_reply(body: bytes) -> neutral.Reply | neutral.Failed:
    """Read a whole reply; `Failed` where it is an error. Raises `BadReplyError`."""
    try:
        reply = _decode(body)
        if wire.given(reply.error):
            return inner_error(reply.error)
        if reply.choices is None:
            return _not_a_reply(reply, body)
        return _reply(reply, reply.choices)
    except UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is not a chat completion: {error}.") from None


def _not_a_reply(reply: wire.Reply, body: bytes) -> neutral.Failed:
    if wire.given(reply.detail):
        return decode_error(502, body)
    raise BadReplyError("The upstream's reply is not a chat completion: it has no choices.")


def _reply(reply: wire.Reply, choices: list[wire.Choice]) -> neutral.Reply | neutral.Failed:
    for choice in choices:
        if wire.given(choice.error):
            return inner_error(choice.error)
    groq = reply.x_groq.usage if reply.x_groq else None
    id_ = reply.id or ""
    return neutral.Reply(
        id=id_,
        model=reply.model or "",
        choices=tuple([_choice(choice, place, id_) for place, choice in enumerate(choices)]),
        usage=decode_usage(reply.usage or groq),
        created=int(reply.created) if reply.created is not None else None,
        service_tier=reply.service_tier,
        system_fingerprint=reply.system_fingerprint,
    )


def _choice(choice: wire.Choice, place: int, reply_id: str) -> neutral.Choice:
    message = choice.message or choice.delta or wire.Content()
    parts = _parts(message, reply_id)
    kinds = {type(part) for part in parts}
    stop, sequence = decode_stop(
        choice.finish_reason,
        choice.stop_reason,
        has_calls=neutral.ToolCall in kinds,
        has_refusal=neutral.Refusal in kinds,
    )
    return neutral.Choice(
        index=place if choice.index is None else choice.index,
        parts=tuple(parts),
        stop=stop,
        stop_sequence=sequence,
        logprobs=choice.logprobs if wire.given(choice.logprobs) else None,
    )


def _parts(message: wire.Content, reply_id: str) -> list[neutral.AssistantPart]:
    parts: list[neutral.AssistantPart] = [
        msgspec.structs.replace(part, path="")
        for part in decode_reasoning(
            text_of(message.reasoning_content, message.reasoning),
            details_of(message.reasoning_details),
        )
    ]
    if isinstance(message.content, str):
        if message.content:
            parts.append(neutral.Text(text=message.content))
    else:
        parts += [_part(raw) for raw in message.content or ()]
    if message.images:
        parts += [_part(raw) for raw in message.images]
    if message.refusal:
        parts.append(neutral.Refusal(text=message.refusal))
    if wire.given(message.audio):
        parts.append(neutral.Foreign(kind="audio", raw=message.audio))
    if message.tool_calls:
        parts += [_call(raw, reply_id, place) for place, raw in enumerate(message.tool_calls)]
    if message.function_call is not None:
        parts.append(_function(message.function_call, call_id(reply_id, 0)))
    return parts


def _part(raw: msgspec.Raw) -> neutral.AssistantPart:
    """Read one part of a content list; Mistral's reasoning models answer with such lists."""
    part = _decode_part(raw)
    match part.type:
        case "text" | "output_text":
            return neutral.Text(text=part.text or "")
        case "thinking":
            return neutral.Thinking(text=thinking_text(part.thinking))
        case "refusal":
            return neutral.Refusal(text=part.refusal or "")
        case "image_url" if part.image_url is not None:
            url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
            return neutral.Image(source=_image_source(url))
        case kind:
            return neutral.Foreign(kind=kind, raw=raw)


def thinking_text(raw: msgspec.Raw) -> str:
    """Return the text of Mistral's `thinking`: a string, or a list of text parts."""
    value: str | list[wire.Part] | None = msgspec.json.decode(
        raw, type=str | list[wire.Part] | None
    )
    if isinstance(value, list):
        return "".join(part.text or "" for part in value)
    return value or ""


def _image_source(url: str) -> sources.UrlSource | sources.DataSource:
    try:
        return decode_image_url(url, "image_url")
    except InvalidRequestError as error:
        raise BadReplyError(f"The upstream's reply holds a bad image: {error.message}") from None


def _call(raw: msgspec.Raw, reply_id: str, place: int) -> neutral.ToolCall | neutral.Foreign:
    call = _decode_call(raw)
    if call.function is None:
        return neutral.Foreign(kind=f"{call.type} tool call", raw=raw)
    id_, signature = call.id or call_id(reply_id, place), wire.signature_of(call)
    return _function(call.function, id_, signature)


def _function(function: wire.Function, id_: str, signature: str | None = None) -> neutral.ToolCall:
    arguments = wire.arguments_text(function.arguments)
    return neutral.ToolCall(
        id=id_, name=function.name or "", arguments=arguments, signature=signature
    )


def call_id(reply_id: str, place: int) -> str:
    """Return an id for a call whose upstream gave none: unlike those of any other reply."""
    return f"call_{reply_id.translate(_NOT_IN_IDS)}_{place}"
