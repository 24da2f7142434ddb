"""Keeping a chat completion: the codec that reads it as it leaves, and the row it becomes.

A codec is made for the one call, in front of the dialect's own. A whole reply is kept as it is
sent; a stream is gathered event by event, so that no more of it is in memory than it says. The
reply bears an id of ours, because those of upstreams need not be anybody's alone.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Self

import msgspec
import structlog

from meterway.auth.types import Principal
from meterway.edge.http import Request
from meterway.edge.openai.shelf import Shelf
from meterway.kit import json, sse
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts, PassingCodec, Seen, StreamEncoder, StreamReader
from meterway.protocols.chat.collect import Gathered
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from meterway.threads import metadata
from meterway.threads.completions import service as completions
from meterway.threads.types import StoredCompletion

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a stream that is gathered; a longer one is not kept."""

_FALSE, _NULL = msgspec.Raw(b"false"), msgspec.Raw(b"null")
_ECHOED = (
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "seed",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
)
_log = structlog.get_logger()


class KeepingCodec:
    """OpenAI's chat dialect for one call: `reply` is its whole reply once that was told.

    `id` is what the reply is called. The upstream is told to store nothing. What cannot be read
    passes all the same, and `lost` says why it cannot be kept.
    """

    dialect = OPENAI_CHAT.dialect

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.reply: bytes | None = None
        self.lost: str | None = None

    @property
    def through(self) -> PassingCodec:
        """Upstreams speak this dialect too."""
        return self

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need."""
        return OPENAI_CHAT.facts(body)

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request."""
        return OPENAI_CHAT.sizes(body)

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell whose encrypted thoughts a request brings."""
        return OPENAI_CHAT.makers(body)

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request."""
        return OPENAI_CHAT.decode_request(body)

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error after the first byte."""
        return OPENAI_CHAT.encode_failure(failure)

    def at(self, maker: str) -> Self:
        """Return this codec: what one key of the vendor's made, all others read."""
        del maker
        return self

    def pass_request(self, body: RawObject, model: str) -> bytes:
        """Write the client's own request, for an upstream that keeps nothing of it."""
        return OPENAI_CHAT.pass_request({**body, "store": _FALSE}, model)

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole reply that passes through, and hold it."""
        seen = OPENAI_CHAT.pass_reply(body, model)
        if seen.failure is not None:
            return seen
        try:
            fields = json.decode_top(seen.body)
        except MeterwayError as error:  # it passes as it came
            self.lost = error.message
            return seen
        self.reply = json.encode({**fields, "id": json.raw(self.id)})
        return msgspec.structs.replace(seen, body=self.reply)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client, and hold it."""
        self.reply = OPENAI_CHAT.encode_reply(msgspec.structs.replace(reply, id=self.id))
        return self.reply

    def stream_reader(self, facts: Facts, model: str | None) -> StreamReader:
        """Return a reader for the stream that passes through."""
        return _Reader(OPENAI_CHAT.stream_reader(facts, model), self)

    def stream_encoder(self, request: neutral.Request) -> StreamEncoder:
        """Return an encoder for the stream."""
        return _Encoder(OPENAI_CHAT.stream_encoder(request), self)


class _Gathering:
    """What a stream of the call told so far; the codec is handed the reply at its end."""

    def __init__(self, codec: KeepingCodec) -> None:
        codec.reply = codec.lost = None  # another attempt may have begun one
        self._codec = codec
        self._gathered = Gathered()

    def take(self, events: Iterable[neutral.Event]) -> None:
        """Take the next events; those of a broken stream are lost, and pass all the same."""
        if self._codec.lost is not None:
            return
        try:
            for event in events:
                self._gathered.take(event)
        except BadReplyError as error:
            self.lose(error.message)

    def lose(self, why: str) -> None:
        """Give up what was gathered."""
        self._codec.lost = why
        self._gathered = Gathered()

    def end(self, usage: Usage | None) -> None:
        """Hand over the reply that a closed stream told; `usage` is what it was not told of."""
        if self._codec.lost is not None or self._codec.reply is not None:
            return
        try:
            reply = self._gathered.reply()
            if reply.usage is None:
                reply = msgspec.structs.replace(reply, usage=usage)
            self._codec.encode_reply(reply)
        except BadReplyError as error:
            self.lose(error.message)


class _Encoder:
    """Tells a stream of another dialect, and gathers it."""

    def __init__(self, inner: StreamEncoder, codec: KeepingCodec) -> None:
        self._inner = inner
        self._id = codec.id
        self._gathering = _Gathering(codec)

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`."""
        if isinstance(event, neutral.Opened):
            event = msgspec.structs.replace(event, id=self._id)
        if not isinstance(event, neutral.Failed):  # what failed upstream was never whole
            self._gathering.take((event,))
        if isinstance(event, neutral.Closed):
            self._gathering.end(None)
        return self._inner.encode(event)


class _Reader:
    """Reads a stream that passes through, gives it its id, and gathers it."""

    def __init__(self, inner: StreamReader, codec: KeepingCodec) -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None
        self._inner = inner
        self._gathering = _Gathering(codec)
        self._splitter = sse.Splitter()
        self._decoder = OPENAI_CHAT.stream_decoder()
        self._id = json.raw(codec.id)
        self._read = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now."""
        return self._told(self._inner.feed(chunk))

    def end(self) -> bytes:
        """Hear that the bytes are over and return what is still to be forwarded."""
        return self._told(self._inner.end())

    def _told(self, data: bytes) -> bytes:
        """Name the reply in whole events, take them, and return them."""
        inner = self._inner
        self.usage, self.output_bytes = inner.usage, inner.output_bytes
        self.closed, self.failure = inner.closed, inner.failure
        self.service_tier = inner.service_tier
        if data:
            data = b"".join([self._named(block) for block in self._splitter.feed(data)])
        if self.failure is not None:  # it was never whole
            return data
        if data:
            self._take(data)
        if self.closed:
            self._gathering.end(self.usage)
        return data

    def _take(self, data: bytes) -> None:
        self._read += len(data)
        if self._read > LARGEST:
            self._gathering.lose(f"The stream is longer than {LARGEST} bytes.")
            return
        try:
            events = self._decoder.feed(data)
        except BadReplyError as error:
            self._gathering.lose(error.message)
        else:
            self._gathering.take(events)

    def _named(self, block: bytes) -> bytes:
        event = sse.parse(block)
        if event is None or not event.data.startswith(b"{"):
            return block
        try:
            fields = json.decode_top(event.data)
        except MeterwayError:  # it passes as it came
            return block
        if "id" not in fields:
            return block
        return sse.render(json.encode({**fields, "id": self._id}))


class CompletionKeep:
    """Implements `Keep` for a chat completion: one row of its caller's, with the request's facts.

    A database that is down keeps no reply back, since it was served and is charged: that it was
    not kept stands in the log.
    """

    def __init__(self, shelf: Shelf, request: Request, caller: Principal, body: RawObject) -> None:
        self.codec = KeepingCodec(completions.new_id())
        self._shelf = shelf
        self._request = request
        self._caller = caller
        self._metadata = metadata.read(body.pop("metadata", None))
        self._model = msgspec.Raw(bytes(body.get("model", _NULL)))
        self._messages = bytes(body.get("messages", b"[]"))
        self._facts = {name: msgspec.Raw(bytes(body.get(name, _NULL))) for name in _ECHOED}
        self._facts["input_user"] = msgspec.Raw(bytes(body.get("user", _NULL)))
        self._ended = False

    @property
    def due(self) -> bool:
        """Whether the reply is whole, or lost, and nothing was done yet."""
        codec = self.codec
        return not self._ended and (codec.reply is not None or codec.lost is not None)

    async def keep(self) -> None:
        """Keep the completion, with what others keep at the same time."""
        self._ended = True
        reply = self.codec.reply
        if reply is None:
            self._tell(self.codec.lost or "")
            return
        try:
            await self._shelf.writer.put(
                partial(completions.add, completion=self._completion(reply))
            )
        except UnavailableError as error:
            self._tell(error.message)

    def _completion(self, reply: bytes) -> StoredCompletion:
        now = self._shelf.clock.now()
        fields = json.decode_top(reply)
        body: dict[str, Any] = {**self._facts, **fields, "request_id": self._request.request_id}
        return StoredCompletion(
            id=self.codec.id,
            user_id=self._caller.user_id,
            key_id=self._caller.key_id,
            created_at=now,
            model=_text(fields.get("model")) or _text(self._model) or "",
            metadata=self._metadata,
            messages=self._messages,
            body=json.encode(body),
            expires_at=self._shelf.retention.end(now),
        )

    def _tell(self, why: str) -> None:
        _log.error("completion.not_kept", error=why, **self._request.facts())


def _text(value: msgspec.Raw | None) -> str | None:
    told = None if value is None else msgspec.json.decode(value)
    return told if isinstance(told, str) else None
