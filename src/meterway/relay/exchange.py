"""One exchange with one route: the request in its dialect, and its answer accepted or refused."""

from collections.abc import Mapping

import msgspec

from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codec import LINKABLE, PassingCodec, StreamReader, UpstreamCodec
from meterway.protocols.chat.collect import events_of
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import BadReplyError
from meterway.relay.answer import Answer, Rest
from meterway.relay.materials import Materials, inlined_bytes
from meterway.relay.pipes import Translator, passing_codec, stream_pipe, whole_reply
from meterway.relay.record import CallRecord
from meterway.upstreams import failures
from meterway.upstreams.encode import outgoing
from meterway.upstreams.errors import ReplyTooLargeError
from meterway.upstreams.transport import Outgoing, Response, Transport
from meterway.upstreams.types import Route

_OK = 200  # the one status a chat reply comes with
_ERROR_LIMIT = 64 * 1024
_EVENT_STREAM = b"text/event-stream"


class _Way(msgspec.Struct, frozen=True, gc=False):
    """How an attempt's request and reply are read: `passing` where that needs no translation.

    `alias` is the name to put back into the reply, None where the upstream uses it too.
    """

    codec: UpstreamCodec
    passing: PassingCodec | None
    alias: str | None


class Exchange:
    """Talks to upstreams: `transports` by the name a provider's row gives, `codecs` by dialect.

    `materials` brings in what upstreams cannot be given by URL; without, they are refused it.
    `reply_limit` bounds a whole reply, in bytes.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        codecs: Mapping[Dialect, UpstreamCodec],
        clock: Clock,
        materials: Materials | None = None,
        reply_limit: int = 256 * 1024 * 1024,
    ) -> None:
        self._transports = transports
        self._codecs = codecs
        self._clock = clock
        self._materials = materials
        self._reply_limit = reply_limit

    async def run(self, call: Call, route: Route, record: CallRecord) -> Answer:
        """Send `call` along `route` and return the accepted answer.

        A stream is accepted once its first bytes for the client are there. Raises what
        `upstreams.errors` and `protocols.errors` describe; nothing stays open then.
        """
        transport = self._transports[route.channel.provider.transport]
        provider, maker = route.channel.provider, route.maker
        codec = self._codecs[route.dialect].at(maker)
        passing, asked = passing_codec(call, codec, maker), None
        way = _Way(codec, passing, _alias(call, route))
        if not provider.fetches_urls or (passing is None and codec.takes_urls != LINKABLE):
            asked = await self._inlined(call, route, passes=passing is not None)
        form = passing if asked is None else asked
        request = self._request(call, route, record, codec, form)
        response = await transport.send(request)
        try:
            if response.status == _OK and not call.facts.stream:
                return self._whole(call, route, way, await response.read(self._reply_limit))
            return await self._accept(call, route, way, response)
        except BaseException:
            await response.close()
            raise

    def free(self, call: Call) -> None:
        """Let go of what was brought in for `call`: no other attempt follows."""
        if self._materials is not None:
            self._materials.free(call)

    async def _inlined(self, call: Call, route: Route, *, passes: bool) -> neutral.Request | None:
        """Return the request to send instead of `call`'s own, None where that will do."""
        if self._materials is None:
            return None
        kinds = LINKABLE
        if route.channel.provider.fetches_urls:
            kinds -= self._codecs[route.dialect].takes_urls
        return await self._materials.inlined(call, kinds, passes=passes)

    def _request(
        self,
        call: Call,
        route: Route,
        record: CallRecord,
        codec: UpstreamCodec,
        form: PassingCodec | neutral.Request | None,
    ) -> Outgoing:
        """Write the request: by what passes it through, from its neutral form, or by decoding."""
        facts = call.facts
        dropped: tuple[str, ...] = ()
        if form is None or isinstance(form, neutral.Request):
            encoded = codec.encode_request(form or call.request(), route.model)
            body, dropped = encoded.body, encoded.dropped
        else:
            body = form.pass_request(call.body, route.model)
        record.input_bytes = len(body)
        if call.brought is not None and isinstance(form, neutral.Request):
            record.input_bytes -= inlined_bytes(form, call.brought)
        request = outgoing(route, body, call.headers, stream=facts.stream)
        record.dropped = dropped + request.dropped
        return request

    def _whole(self, call: Call, route: Route, way: "_Way", body: bytes) -> Answer:
        seen = whole_reply(call, way.codec, way.passing, body, way.alias)
        if seen.failure is not None:
            raise self._inside(seen.failure)
        return Answer(route=route, first=seen.body, meter=seen)

    async def _accept(self, call: Call, route: Route, way: "_Way", response: Response) -> Answer:
        """Accept the answer to a streaming call, or raise what a refusal means."""
        if response.status != _OK:
            raise await self._refusal(way.codec, response)
        if _content_type(response) == b"application/json":
            body = await response.read(self._reply_limit)
            return self._told_as_stream(call, route, way, body)
        pipe = stream_pipe(call, way.codec, way.passing, way.alias)
        return await self._open_stream(route, response, pipe)

    async def _open_stream(self, route: Route, response: Response, pipe: StreamReader) -> Answer:
        """Read until the first bytes for the client are there; an error before is a failure."""
        if _content_type(response) not in {_EVENT_STREAM, b""}:
            raise BadReplyError("The upstream answered a streaming call with something else.")
        chunks = aiter(response)
        async for chunk in chunks:
            if first := self._fed(pipe, pipe.feed(chunk)):
                rest = Rest(response, chunks, pipe)
                return Answer(route=route, first=first, meter=pipe, rest=rest)
        if (first := self._fed(pipe, pipe.end())) and pipe.closed:
            return Answer(route=route, first=first, meter=pipe)
        raise BadReplyError("The upstream's stream ended before it began.")

    def _fed(self, pipe: StreamReader, data: bytes) -> bytes:
        """Return what `pipe` made of the upstream's bytes. Raises where it is an error."""
        if pipe.failure is not None:
            raise self._inside(pipe.failure)
        return data

    def _told_as_stream(self, call: Call, route: Route, way: "_Way", body: bytes) -> Answer:
        """Tell a whole reply as a stream, for an upstream that ignored the wish for one."""
        codec = way.codec
        reply = codec.decode_reply(body)
        if isinstance(reply, neutral.Failed):
            raise self._inside(reply)
        teller = Translator(
            codec.stream_decoder(), call.codec.stream_encoder(call.asked()), way.alias
        )
        return Answer(route=route, first=teller.tell(events_of(reply)), meter=teller)

    async def _refusal(self, codec: UpstreamCodec, response: Response) -> MeterwayError:
        """Read an error answer; one too long to be worth reading counts as empty."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers
        }
        try:
            body = await response.read(_ERROR_LIMIT)
        except ReplyTooLargeError:
            body = b""
        failed = codec.decode_error(response.status, headers, body)
        return failures.upstream_error(response.status, headers, failed, self._clock.now())

    def _inside(self, failed: neutral.Failed) -> MeterwayError:
        """Return what an error inside an answer of status 200 means."""
        return failures.upstream_error(failed.status, {}, failed, self._clock.now())


def _alias(call: Call, route: Route) -> str | None:
    """Return the name to put back into the reply, None where the upstream uses it too."""
    return call.facts.model if call.facts.model != route.model else None


def _content_type(response: Response) -> bytes:
    for name, value in response.headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""
