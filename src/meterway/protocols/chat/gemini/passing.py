"""What passes through unchanged, Gemini to Gemini: requests, replies, streams read on the way."""

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Seen
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.errors import failed
from meterway.protocols.chat.gemini.facts import MODEL, STREAM
from meterway.protocols.chat.gemini.foreign import replayable
from meterway.protocols.chat.gemini.framing import Events, Framing
from meterway.protocols.chat.gemini.usage import decode_tier, decode_usage
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

_VERSION = "modelVersion"


class _Call(msgspec.Struct):
    args: msgspec.Raw = wire.NOTHING


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0


class _Head(msgspec.Struct, rename="camel"):
    """What a passing reply or chunk is read for."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: wire.Feedback | None = None
    usage_metadata: wire.Usage | None = None
    error: wire.Error | None = None

    @property
    def tier(self) -> str | None:
        """The service tier the vendor names."""
        return decode_tier(self.usage_metadata.service_tier) if self.usage_metadata else None


_decode = msgspec.json.Decoder(_Head).decode
_raw_object = msgspec.json.Decoder(json.RawObject).decode


def pass_request(body: json.RawObject, model: str) -> bytes:
    """Write the client's own request without what stands in the path; the rest is untouched.

    What another vendor's model did is written as `model` takes it.
    """
    sent = {name: value for name, value in body.items() if name not in {MODEL, STREAM}}
    if "contents" in sent:
        sent["contents"] = replayable(sent["contents"], model)
    return json.encode(sent)


def pass_reply(body: bytes, model: str | None) -> Seen:
    """Read a reply that passes. Raises `BadReplyError` where it is none of Gemini's."""
    try:
        head = _decode(body)
        if head.error is not None:
            return Seen(body=body, failure=failed(head.error))
        if model is not None:
            body = _renamed(body, model)
    except wire.UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is not one of Gemini's: {error}.") from None
    return Seen(body=body, usage=decode_usage(head.usage_metadata), service_tier=head.tier)


def _renamed(data: bytes, model: str) -> bytes:
    top = _raw_object(data)
    if _VERSION in top:
        top[_VERSION] = json.raw(model)
    return json.encode(top)


class GeminiStreamReader:
    """Reads a stream on its way to a client of the same dialect, and frames it as the client asked.

    Events are forwarded as they came where the client takes events too. What cannot be read is
    forwarded unread.
    """

    def __init__(self, model: str | None, framing: Framing) -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None
        self._model = model
        self._framing = framing
        self._as_came = isinstance(framing, Events) and model is None
        self._splitter = sse.Splitter()
        self._ended: dict[int, bool] = {}

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now: whole chunks only."""
        return b"".join([self._read(block) for block in self._splitter.feed(chunk)])

    def end(self) -> bytes:
        """Hear that the bytes are over; whole is a stream whose candidates have all ended."""
        rest = self._splitter.rest().strip()
        forward = self._read(rest + b"\n\n") if rest.endswith(b"}") else b""  # no torn chunk
        if self.failure is None and self._ended and all(self._ended.values()):
            self.closed = True
            forward += self._framing.close()
        return forward

    def _read(self, block: bytes) -> bytes:
        event = sse.parse(block)
        if event is None:
            return block if self._as_came else b""
        data = event.data
        try:
            self._note(_decode(data))
            data = data if self._model is None else _renamed(data, self._model)
        except msgspec.ValidationError:
            pass  # of another form than ours: reading must not break what passes
        except wire.UNREADABLE:  # no JSON, which would spoil an array
            return block if isinstance(self._framing, Events) else b""
        if self._as_came:
            return block
        ends = self._framing.close() if self.failure is not None else b""
        return self._framing.chunk(data) + ends

    def _note(self, head: _Head) -> None:
        if head.error is not None:
            self.failure = failed(head.error)
            return
        self.usage = decode_usage(head.usage_metadata) or self.usage
        self.service_tier = head.tier or self.service_tier
        for candidate in head.candidates or ():
            over = bool(candidate.finish_reason) or self._ended.get(candidate.index, False)
            self._ended[candidate.index] = over
            for part in (candidate.content.parts if candidate.content else None) or ():
                self.output_bytes += _size(part)
        if head.prompt_feedback is not None and head.prompt_feedback.block_reason:
            self._ended.setdefault(0, True)


def _size(part: _Part) -> int:
    if part.function_call is not None:
        return len(part.function_call.args)
    text = part.text or ""
    return len(text) if text.isascii() else len(text.encode())
