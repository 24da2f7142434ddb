"""A whole reply from an upstream, read into the neutral form: a stream of one chunk.

Parts of the vendor's own tools are left out: no client of another dialect can have asked for them.
A prompt that was blocked is a reply without words that a filter ended.
"""

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.errors import failed
from meterway.protocols.chat.gemini.logprobs import decode_logprobs
from meterway.protocols.chat.gemini.marks import read_mark
from meterway.protocols.chat.gemini.stops import decode_stop
from meterway.protocols.chat.gemini.usage import decode_tier, decode_usage
from meterway.protocols.errors import BadReplyError

_decode = msgspec.json.Decoder(wire.Reply).decode
_decode_chunks = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NOT_IN_IDS = str.maketrans(dict.fromkeys(".:/ #|=+", "_"))


def decode_chunk(body: bytes | msgspec.Raw) -> wire.Reply:
    """Read a reply or a stream's chunk. Raises `BadReplyError`."""
    try:
        return _decode(body)
    except wire.UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is not one of Gemini's: {error}.") from None


def chunks_of(body: bytes) -> list[msgspec.Raw]:
    """Cut the list that a stream without `alt=sse` is. Raises `BadReplyError`."""
    try:
        return _decode_chunks(body)
    except wire.UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is no list of chunks: {error}.") from None


def decode_reply(body: bytes) -> neutral.Reply | neutral.Failed:
    """Read a whole reply; `Failed` where it is an error. Raises `BadReplyError`."""
    reply = decode_chunk(body)
    if reply.error is not None:
        return failed(reply.error)
    if reply.candidates is None and reply.prompt_feedback is None and reply.usage_metadata is None:
        raise BadReplyError("The upstream's reply is not one of Gemini's: it has no candidates.")
    tier = reply.usage_metadata.service_tier if reply.usage_metadata else None
    return neutral.Reply(
        id=reply.response_id or "",
        model=reply.model_version or "",
        choices=_choices(reply),
        usage=decode_usage(reply.usage_metadata),
        service_tier=decode_tier(tier),
    )


def _choices(reply: wire.Reply) -> tuple[neutral.Choice, ...]:
    if not reply.candidates:
        return (blocked(reply.prompt_feedback),)
    return tuple([_choice(candidate, reply.response_id or "") for candidate in reply.candidates])


def blocked(feedback: wire.Feedback | None) -> neutral.Choice:
    """Return what a reply without candidates says: the prompt was blocked, and perhaps why."""
    why = feedback.block_reason_message if feedback else None
    parts = (neutral.Refusal(text=why),) if why else ()
    return neutral.Choice(parts=parts, stop=neutral.StopReason.CONTENT_FILTER)


def _choice(candidate: wire.Candidate, reply_id: str) -> neutral.Choice:
    said = candidate.content.parts if candidate.content else None
    parts: list[neutral.AssistantPart] = []
    for part in said or ():
        _add(part, parts, reply_id)
    try:
        logprobs = decode_logprobs(candidate.logprobs_result)
    except wire.UNREADABLE as error:
        raise BadReplyError(f"The upstream's log probabilities are malformed: {error}.") from None
    calls = any(isinstance(part, neutral.ToolCall) for part in parts)
    return neutral.Choice(
        index=candidate.index,
        parts=tuple(parts),
        stop=decode_stop(candidate.finish_reason, calls=calls),
        logprobs=logprobs,
    )


def _add(part: wire.Said, parts: list[neutral.AssistantPart], reply_id: str) -> None:
    """Add what one part says; text goes on in the part before it where that says the same kind."""
    if part.function_call is not None:
        place = sum(isinstance(one, neutral.ToolCall) for one in parts)
        id_ = part.function_call.id or call_id(reply_id, place)
        parts.append(_call(part.function_call, id_, part.thought_signature))
    elif part.inline_data is not None:
        if (media := _media(part.inline_data)) is not None and not part.thought:
            parts.append(media)
    elif part.thought:
        last = parts[-1] if parts else None
        text, mark = part.text or "", part.thought_signature
        if isinstance(last, neutral.Thinking) and last.signature is None:
            parts.pop()
            text = last.text + text
        if text or mark:
            parts.append(neutral.Thinking(text=text, signature=signature_of(mark)))
    else:
        _add_text(part, parts)


def _add_text(part: wire.Said, parts: list[neutral.AssistantPart]) -> None:
    last = parts[-1] if parts else None
    if part.text and isinstance(last, neutral.Text):
        assert isinstance(last.text, str), "replies are read"
        parts[-1] = neutral.Text(text=last.text + part.text)
    elif part.text:
        parts.append(neutral.Text(text=part.text))
    thinks = any(isinstance(one, neutral.Thinking) for one in parts)
    if part.thought_signature and thinks:
        signature = signature_of(part.thought_signature)
        parts.append(neutral.Thinking(text="", signature=signature))


def signature_of(mark: str | None) -> str | None:
    """Return the neutral form of a signature an upstream gave."""
    read = read_mark(mark) if mark else None
    return None if isinstance(read, neutral.RedactedThinking) else read


def _call(call: wire.FunctionCall, id_: str, signature: str | None) -> neutral.ToolCall:
    return neutral.ToolCall(
        id=id_, name=call.name or "", arguments=arguments_of(call), signature=signature or None
    )


def arguments_of(call: wire.FunctionCall) -> str:
    """Return a call's arguments as JSON text, without the white space of a pretty reply."""
    if not wire.given(call.args):
        return "{}"
    text = str(call.args, "utf-8")
    return msgspec.json.format(text, indent=-1) if "\n" in text else text


def call_id(reply_id: str, place: int) -> str:
    """Return the id of a call that came without one: the reply's and its place among the calls."""
    return f"call_{reply_id.translate(_NOT_IN_IDS)}_{place}"


def _media(blob: wire.Blob) -> neutral.Image | neutral.Audio | neutral.Document | None:
    if not blob.mime_type or blob.data is None:
        return None
    kind, _, form = blob.mime_type.partition(";")[0].partition("/")
    if kind == "audio":
        return neutral.Audio(data=blob.data, format=form)
    source = sources.DataSource(media_type=blob.mime_type, data=blob.data)
    return neutral.Image(source=source) if kind == "image" else neutral.Document(source=source)
