"""Requests and replies that pass between a client and an upstream of this same dialect."""

import msgspec

from meterway.kit import json, sse
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts, Seen
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.errors import inner_error
from meterway.protocols.chat.openai_chat.reply_in import UNREADABLE
from meterway.protocols.chat.openai_chat.usage import decode_usage
from meterway.protocols.chat.openai_family import optional
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

_TRUE = msgspec.Raw(b"true")
_ASK_FOR_USAGE = msgspec.Raw(b'{"include_usage":true}')
_DONE = sse.render(b"[DONE]")
_START, _STOP = b"data: ", b"\n\n"


class _Passing(msgspec.Struct):
    """The fields of a whole reply that the gateway reads."""

    choices: msgspec.Raw = wire.NULL
    usage: wire.Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw = wire.NULL


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class _Call(msgspec.Struct):
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[msgspec.Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: wire.Usage | None = None


class _Chunk(msgspec.Struct):
    """The fields of a chunk that the gateway reads."""

    choices: list[_Choice] | None = None
    usage: wire.Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw = wire.NULL
    x_groq: wire.Groq | None = None


class _Loose(msgspec.Struct):
    """A whole reply whose figures cannot be read."""

    choices: msgspec.Raw = wire.NULL
    error: msgspec.Raw = wire.NULL


_decode_loose = msgspec.json.Decoder(_Loose).decode
_decode_reply = msgspec.json.Decoder(_Passing).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def pass_request(body: RawObject, model: str) -> bytes:
    """Return the client's own request for `model`; a stream's asks for its usage."""
    sent = {**body, "model": json.raw(model)}
    if optional(body, "stream", bool) is True:
        options = optional(body, "stream_options", RawObject)
        sent["stream_options"] = (
            json.raw({**options, "include_usage": _TRUE}) if options else _ASK_FOR_USAGE
        )
    return json.encode(sent)


def pass_reply(body: bytes, model: str | None) -> Seen:
    """Read a reply that passes; usage of an unknown shape counts as none.

    Raises `BadReplyError` where it is no chat completion.
    """
    try:
        reply = _read(body)
        if wire.given(reply.error):
            return Seen(body=body, failure=inner_error(reply.error))
        if not wire.given(reply.choices):
            raise BadReplyError("The upstream's reply is not a chat completion: it has no choices.")
        if model is not None:
            body = _renamed(body, model)
    except UNREADABLE as error:
        raise BadReplyError(f"The upstream's reply is not a chat completion: {error}.") from None
    return Seen(body=body, usage=decode_usage(reply.usage), service_tier=reply.service_tier)


def _read(body: bytes) -> _Passing:
    try:
        return _decode_reply(body)
    except msgspec.ValidationError:
        loose = _decode_loose(body)
        return _Passing(choices=loose.choices, error=loose.error)


def _renamed(data: bytes, model: str) -> bytes:
    top = msgspec.json.decode(data, type=RawObject)
    if "model" in top:
        top["model"] = json.raw(model)
    return json.encode(top)


class ChatStreamReader:
    """Implements `StreamReader` for this dialect.

    Data that is no chat chunk is forwarded as it came: reading must not break what passes.
    """

    def __init__(self, facts: Facts, model: str | None) -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None
        self._splitter = sse.Splitter()
        self._hides_usage = not facts.include_usage
        self._model = model
        self._unfinished: set[int] = set()
        self._finished = False

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now."""
        blocks = self._splitter.feed(chunk)
        if len(blocks) == 1:
            return self._pass(blocks[0])
        return b"".join([self._pass(block) for block in blocks])

    def end(self) -> bytes:
        """Hear that the bytes are over; a finished stream without `[DONE]` is given one."""
        tail, last = self._splitter.rest().rstrip(), b""
        if tail:
            last = self._pass(tail + _STOP)
        if self._finished and not self._unfinished and not self.closed and self.failure is None:
            self.closed = True
            last += _DONE
        return last

    def _pass(self, block: bytes) -> bytes:
        if block.startswith(_START) and block.endswith(_STOP) and block.count(b"\n") == 2:  # noqa: PLR2004 - the usual case: one line, ended by two
            data = block[6:-2]
        else:
            event = sse.parse(block)
            if event is None:
                return block
            data = event.data.strip()
            if event.name == b"error":
                self.failure = inner_error(msgspec.Raw(data))
        if data == b"[DONE]":
            self.closed = True
            return block
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE:
            return block
        if not self._note(chunk):
            return b""
        return block if self._model is None else sse.render(_renamed(data, self._model))

    def _note(self, chunk: _Chunk) -> bool:
        """Take what a chunk tells and return whether the client should have it."""
        choices = chunk.choices
        if choices:
            for choice in choices:
                self._note_choice(choice)
        if chunk.service_tier is not None:
            self.service_tier = chunk.service_tier
        if chunk.usage is not None:
            self.usage = decode_usage(chunk.usage) or self.usage
        elif chunk.x_groq is not None:
            self.usage = decode_usage(chunk.x_groq.usage) or self.usage
        if wire.given(chunk.error):
            self.failure = inner_error(chunk.error)
            return True
        return bool(choices) or chunk.usage is None or not self._hides_usage

    def _note_choice(self, choice: _Choice) -> None:
        delta = choice.delta
        if delta is not None:
            self._count(delta)
        index = choice.index or 0
        if choice.finish_reason:
            self._finished = True
            self._unfinished.discard(index)
        elif not self._finished:
            self._unfinished.add(index)
        if choice.usage is not None:
            self.usage = decode_usage(choice.usage) or self.usage

    def _count(self, delta: _Delta) -> None:
        if isinstance(delta.content, str):
            self.output_bytes += _size(delta.content)
        elif delta.content:
            self.output_bytes += sum(len(bytes(part)) for part in delta.content)
        if delta.reasoning_content:
            self.output_bytes += _size(delta.reasoning_content)
        elif delta.reasoning:
            self.output_bytes += _size(delta.reasoning)
        if delta.refusal:
            self.output_bytes += _size(delta.refusal)
        for call in delta.tool_calls or ():
            self.output_bytes += _call_size(call)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _call_size(call: _Call) -> int:
    function = call.function
    if function is None:
        return 0
    arguments = function.arguments or ""
    if not isinstance(arguments, str):
        return _size(function.name or "") + len(json.encode(arguments))
    return _size(function.name or "") + _size(arguments)
