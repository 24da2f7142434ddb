"""Serves one chat call: read, relay, and a send loop that notices a vanished client.

The loop makes no task per request or chunk. When the client is gone, what still comes is read for
the bill during `drain_seconds`; then the call is cancelled, which cuts the upstream.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, TypeAlias

import msgspec

from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.edge.credentials import caller_of
from meterway.edge.cycle import GONE, Gone
from meterway.edge.http import (
    JSON_TYPE,
    ClientGoneError,
    Headers,
    InFlight,
    Receive,
    Request,
    Scope,
    Send,
    head_of,
    read_body,
    request_of,
    send_reply,
)
from meterway.edge.ratelimits import lines_of
from meterway.kit import sse
from meterway.kit.json import RawObject, decode_top, raw
from meterway.kit.money import shown
from meterway.kit.tasks import Tasks
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codec import ClientCodec
from meterway.protocols.dialects import FAMILIES
from meterway.relay.pipeline import Gate, relay
from meterway.relay.stream import Reply

Passed: TypeAlias = Callable[[Request, RawObject], Mapping[str, str]]

STREAM_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_LISTED = 1024  # characters of names in a header
_ODD = re.compile(rb"[^\x20-\x7e]+")


class Framing(msgspec.Struct, frozen=True):
    """How a stream goes over HTTP; `comment` is what its readers skip, and keeps it alive."""

    headers: Headers = STREAM_HEADERS
    comment: bytes = sse.COMMENT


_SSE: Final = Framing()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What every paid endpoint of a worker shares. Sizes in bytes, times in seconds.

    `kept` waits until settled calls are on the disk, where a reply's last byte is to wait for that.
    """

    authenticator: Authenticator
    gate: Gate
    in_flight: InFlight
    tasks: Tasks
    body_limit: int
    drain_seconds: float = 5.0
    keep_alive_seconds: float = 15.0
    kept: Callable[[], Awaitable[None]] | None = None


class Keep(Protocol):
    """What of a reply is to be kept, before its end leaves: who has read it can ask for it."""

    @property
    def due(self) -> bool:
        """Whether the reply's end is known by now, and it is not kept yet."""

    async def keep(self) -> None:
        """Keep it, with what others keep at the same time."""


Keeping: TypeAlias = Callable[[Request, Principal, RawObject], tuple[ClientCodec, Keep] | None]
"""Decides about a request that says `store`: what keeps its reply, or None."""


class ChatEndpoint:
    """The ASGI handler of one dialect's chat route.

    `passed` checks a request's headers against its body and returns those that travel on to the
    vendor; `billing` names the billing channel of the route, empty for the usual one. `keeping`
    is asked about a request that says `store`: it returns what keeps the reply, with the codec made
    for that, or None. Errors before the first byte are raised, for the server to render.
    """

    def __init__(
        self,
        codec: ClientCodec,
        desk: Desk,
        passed: Passed,
        billing: str = "",
        keeping: Keeping | None = None,
    ) -> None:
        self._codec = codec
        self._desk = desk
        self._passed = passed
        self._billing = billing
        self._keeping = keeping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator)
        try:
            body = await read_call(scope, receive, desk, caller)
            passed = self._passed(request, body)
            codec, keep = self.codec_for(body), None
            if "store" in body and self._keeping is not None:
                codec, keep = self._keeping(request, caller, body) or (codec, None)
            call = Call(request.call_id, codec, body, passed, self._billing)
            del body
            await serve(call, caller, Client(scope, request, send), desk, keep)
        finally:
            request.release()

    def codec_for(self, body: RawObject) -> ClientCodec:  # noqa: ARG002 - others make one of it
        """Return the codec of the call that asks `body`: here the one for all calls."""
        return self._codec


async def read_call(scope: Scope, receive: Receive, desk: Desk, caller: Principal) -> RawObject:
    """Return a call's body; where it names no model, its key's default one.

    Raises what `read_body` and `decode_top` raise.
    """
    body = decode_top(await read_body(scope, receive, desk.body_limit, desk.in_flight))
    if caller.default_model is not None:
        body.setdefault("model", raw(caller.default_model))
    return body


class Client(NamedTuple):
    """Who asked: the request's scope and facts, where the answer goes, and how a stream does."""

    scope: Scope
    request: Request
    send: Send
    framing: Framing = _SSE


async def serve(
    call: Call,
    caller: Principal,
    client: Client,
    desk: Desk,
    keep: Keep | None = None,
) -> None:
    """Relay one call and deliver its reply; errors before its first byte are raised."""
    request = client.request
    with _Presence(client.scope, desk.drain_seconds) as presence:
        reply = await relay(call, caller, desk.gate)
        if keep is None:  # else what was asked stays in memory until it is kept
            request.release()
        presence.tell(reply)
        await _Delivery(client, desk, presence, keep).of(reply)


class _Presence:
    """Whether the client is still there; cancels the serving task some time after it left."""

    def __init__(self, scope: Scope, drain_seconds: float) -> None:
        self._gone: Gone = scope["extensions"][GONE]
        self._drain_seconds = drain_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._reply: Reply | None = None
        self._cut = False
        self.left = False

    def __enter__(self) -> Self:
        self._gone.watch(self._on_left)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gone.unwatch()
        if self._timer is not None:
            self._timer.cancel()
        if self._cut and isinstance(error, asyncio.CancelledError):
            self._gone.task.uncancel()
            raise ClientGoneError from None

    def tell(self, reply: Reply) -> None:
        """Name the reply that is to know when the client leaves."""
        self._reply = reply
        if self.left:
            reply.abandon()

    def _on_left(self) -> None:
        self.left = True
        if self._reply is not None:
            self._reply.abandon()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._drain_seconds, self._on_drained)

    def _on_drained(self) -> None:
        self._cut = True
        self._gone.task.cancel()


class _Delivery:
    """Sends a reply as it comes; once the client left, only reads it."""

    __slots__ = ("_desk", "_framing", "_keep", "_presence", "_request", "_send")

    def __init__(
        self,
        client: Client,
        desk: Desk,
        presence: _Presence,
        keep: Keep | None,
    ) -> None:
        _, self._request, self._send, self._framing = client
        self._desk = desk
        self._presence = presence
        self._keep = keep

    async def of(self, reply: Reply) -> None:
        """Deliver `reply` to its end."""
        async with reply:
            head = _head(self._request, reply)
            if reply.streamed:
                await self._stream(reply, [*head, *self._framing.headers])
                return
            await self._settled(reply)
            if reply.billed:
                head.append(_cost(reply))
            head.append(JSON_TYPE)
            await send_reply(self._send, 200, head, reply.first, _limits(reply))

    async def _settled(self, reply: Reply) -> None:
        reply.settle()
        if self._desk.kept is not None:
            await self._desk.kept()
        if self._keep is not None and self._keep.due:
            await self._keep.keep()

    async def _stream(self, reply: Reply, head: Headers) -> None:
        send, presence, desk, keep = self._send, self._presence, self._desk, self._keep
        await send(head_of(200, head, _limits(reply)))
        await self._say(reply.first)
        with _Pulse(send, desk.tasks, desk.keep_alive_seconds, self._framing.comment) as pulse:
            async for chunk in reply.rest():
                if keep is not None and keep.due:
                    await keep.keep()
                if presence.left:
                    continue
                pulse.beats += 1
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._settled(reply)
        await send({"type": "http.response.body", "body": b""})

    async def _say(self, first: bytes) -> None:
        if self._keep is not None and self._keep.due:
            await self._keep.keep()
        await self._send({"type": "http.response.body", "body": first, "more_body": True})


class _Pulse:
    """Sends `comment` whenever a stream was silent for a whole period; `beats` counts chunks."""

    def __init__(self, send: Send, tasks: Tasks, seconds: float, comment: bytes) -> None:
        self._send = send
        self._said = comment
        self._tasks = tasks
        self._seconds = seconds
        self._seen = self.beats = 0
        self._comment: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()  # it may wait for the client, and must not come after the end

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        waits = self._comment is not None and not self._comment.done()
        if self.beats == self._seen and not waits:
            self._comment = self._tasks.spawn(self._tell(), name="stream.keep-alive")
        self._seen = self.beats
        self._arm()

    async def _tell(self) -> None:
        await self._send({"type": "http.response.body", "body": self._said, "more_body": True})


def _head(request: Request, reply: Reply) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell of the call: its ids, who answered, after how many attempts."""
    record = reply.record
    head = [
        *request.head,
        (b"x-meterway-provider", reply.provider.encode()),
        (b"x-meterway-attempts", b"%d" % len(record.attempts)),
    ]
    if reply.billed:
        head.append((b"x-meterway-receipt", request.name))
    if record.dropped:
        head.append((b"x-meterway-dropped", _listed(record.dropped)))
    return head


def _limits(reply: Reply) -> bytes:
    """Return the lines of the head that tell what is left of the caller's limits."""
    standings = reply.standings
    return b"" if standings is None else lines_of(standings, FAMILIES[reply.record.dialect])


def _cost(reply: Reply) -> tuple[bytes, bytes]:
    """Return the header that tells the price of a settled call, in dollars."""
    return b"x-meterway-cost", shown(reply.record.price).encode()


def _listed(names: Sequence[str]) -> bytes:
    """Return names as a header's value; they are the client's own, so nothing odd gets through."""
    text = ", ".join(names)
    if len(text) > _LISTED:
        text = text[: text.rindex(",", 0, _LISTED)] + ", ..." if "," in text[:_LISTED] else "..."
    return _ODD.sub(b"?", text.encode())
