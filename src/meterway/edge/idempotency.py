"""`Idempotency-Key`: a POST that is repeated gets its first reply again, and runs once.

Follows https://docs.stripe.com/api/idempotent_requests: the reply of what began to run is kept for
a day, refusals before that are not, another body is 409, and so is a repeat that comes too early.
The header says that the client means to come back, so a client who leaves is served to the end,
within bounds, and finds the reply when it repeats. What may have been charged never runs again.
"""

import asyncio
from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from meterway.edge.credentials import caller_of
from meterway.edge.cycle import GONE, Gone
from meterway.edge.http import (
    ClientGoneError,
    Handler,
    Headers,
    InFlight,
    Receive,
    Request,
    Scope,
    Send,
    read_body,
    request_of,
    send_reply,
)
from meterway.edge.server import tell
from meterway.edge.serving import Desk
from meterway.idempotency import service
from meterway.idempotency.errors import ReplyNotKeptError
from meterway.idempotency.keeper import Keeper
from meterway.idempotency.types import Claim, Ended, Kept, Loss, Lost
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.protocols.chat.codec import ClientCodec
from meterway.protocols.chat.neutral import Failed
from meterway.upstreams.errors import UpstreamError

NAME = b"idempotency-key"
REPLY_LIMIT = 8 * 1024 * 1024  # bytes of one kept reply
RECORDED_LIMIT = 64 * 1024 * 1024  # bytes of replies one worker records at a time
FINISH_SECONDS = 60.0  # for what runs on after its client left
_INTERNAL = 500
_PASSING = frozenset({408, 409, 425, 429})
_OWN = frozenset({b"connection", b"content-length", b"date", b"server", b"transfer-encoding"})
_MOMENTARY = (b"x-ratelimit-", b"anthropic-ratelimit-", b"retry-after", b"access-control-")
_EVENT_END = b"\n\n"
_CUT = Failed(
    message="The first request with this Idempotency-Key ended here, before its reply was whole. "
    "What came so far may have been charged. Send a new key to run it again.",
    kind="api_error",
    status=502,
)
_WHY = {
    Loss.TOO_LARGE: "was served, and its reply is too large to be kept",
    Loss.CUT: "was broken off before its reply; it may have been charged",
}
_log = structlog.get_logger()


class Idempotence(msgspec.Struct, frozen=True, kw_only=True):
    """What the marked routes of a worker share. Sizes in bytes, times in seconds.

    `fate_of` says what became of a call whose process is gone; `recorded` is the room for replies
    being recorded.
    """

    desk: Desk
    keeper: Keeper
    fate_of: service.FateOf
    finish_seconds: float = FINISH_SECONDS
    reply_limit: int = REPLY_LIMIT
    recorded: InFlight = msgspec.field(default_factory=lambda: InFlight(RECORDED_LIMIT))


class Idempotent:
    """The ASGI handler around the one of a POST route.

    `codec` tells in the route's dialect that a repeated stream was cut; on a `google` route the
    key may stand in the query. The handler may raise a
    `MeterwayError` as long as nothing was changed: such a refusal is not kept.
    """

    def __init__(
        self,
        handler: Handler,
        shared: Idempotence,
        codec: ClientCodec | None = None,
        *,
        google: bool = False,
    ) -> None:
        self._handler = handler
        self._shared = shared
        self._codec = codec
        self._google = google

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request; without the header the handler alone does, and nothing is added."""
        name = request_of(scope).headers.get(NAME)
        if name is None:
            return self._handler(scope, receive, send)
        return self._once(name, scope, receive, send)

    async def _once(self, name: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a marked request, or answer as the first time."""
        request, shared, desk = request_of(scope), self._shared, self._shared.desk
        caller = await caller_of(scope, desk.authenticator, google=self._google)
        body = await read_body(scope, receive, desk.body_limit, desk.in_flight)
        asked = service.asked(caller.user_id, name, scope["method"], scope["path"], body)
        found = await shared.keeper.claim(asked, request.call_id, shared.fate_of)
        if not isinstance(found, Claim):
            await _repeat(found, request, send)
            return
        again = _Again(body, receive)
        del body
        _unpacked(request, again.size)
        await self._run(scope, again, send, found)

    async def _run(self, scope: Scope, receive: Receive, send: Send, claim: Claim) -> None:
        """Call the handler, and end `claim` by what comes of it."""
        request, shared = request_of(scope), self._shared
        presence = _Presence(scope["extensions"][GONE], shared.finish_seconds)
        scope["extensions"] = {**scope["extensions"], GONE: presence}
        recorder = _Recorder(
            request, send, claim=claim, shared=shared, presence=presence, codec=self._codec
        )
        try:
            try:
                await self._handler(scope, receive, recorder.send)
            except Exception as error:
                if recorder.began or isinstance(error, ClientGoneError):
                    raise
                recorder.refused = _is_refusal(error)
                await tell(error, request, scope, recorder.send)
        finally:
            presence.end()
            await recorder.end()


class _Again:
    """A `receive` that gives a body that was read already, then goes on with the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.size = len(body)
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Presence(Gone):
    """Tells the handler that its client left only once it had the time to end."""

    def __init__(self, gone: Gone, seconds: float) -> None:
        super().__init__()
        self.task = gone.task
        self._gone = gone
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        gone.watch(self._left)

    def _left(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.happen)

    def end(self) -> None:
        """Stop watching: the handler has ended."""
        self._gone.unwatch()
        if self._timer is not None:
            self._timer.cancel()


class _Recorder:
    """A `send` that keeps what passes, and ends the claim before the last byte leaves."""

    def __init__(  # noqa: PLR0913 - the parts of one request
        self,
        request: Request,
        send: Send,
        *,
        claim: Claim,
        shared: Idempotence,
        presence: Gone,
        codec: ClientCodec | None,
    ) -> None:
        self.began = False
        self.refused = False
        self._request = request
        self._send = send
        self._claim = claim
        self._shared = shared
        self._presence = presence
        self._codec = codec
        self._status = 0
        self._headers: Headers = ()
        self._pieces: list[bytes] | None = []
        self._size = 0
        self._ended = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Record one message and pass it on.

        A stream goes unsent from when its handler hears that the client left, so its end says
        nothing then; a whole reply is sent in any case.
        """
        if message["type"] == "http.response.start":
            self.began = True
            self._status, self._headers = message["status"], message.get("headers", ())
        else:
            self._record(message.get("body", b""))
            if not message.get("more_body", False):
                await self._conclude(whole=not (self._presence.happened and self._is_stream()))
        await self._send(message)

    async def end(self) -> None:
        """End the claim if the handler did not come to the end of a reply."""
        await self._conclude(whole=False)
        self._drop()

    def _record(self, piece: bytes) -> None:
        if self._pieces is None or not piece:
            return
        try:
            if self._size + len(piece) > self._shared.reply_limit:
                self._drop()
                return
            self._shared.recorded.take(len(piece))
        except UnavailableError:
            self._drop()
            return
        self._pieces.append(piece)
        self._size += len(piece)

    def _drop(self) -> None:
        self._shared.recorded.give(self._size)
        self._pieces, self._size = None, 0

    async def _conclude(self, *, whole: bool) -> None:
        if self._ended:
            return
        self._ended = True
        keeper = self._shared.keeper
        if whole and (self.refused or _is_passing(self._status)):
            await keeper.release(self._claim)
        else:
            await keeper.keep(self._claim, self._outcome(whole=whole))

    def _outcome(self, *, whole: bool) -> Ended:
        name = self._request.request_id
        if self._pieces is None:
            return Lost(name, Loss.TOO_LARGE)
        body = b"".join(self._pieces)
        if not whole:
            body = body[: body.rfind(_EVENT_END) + len(_EVENT_END)] if _EVENT_END in body else b""
            if self._codec is None or not body or not self._is_stream():
                return Lost(name, Loss.CUT)
            body += self._codec.encode_failure(_CUT)
        return Kept(name, self._status, tuple(self._kept_headers()), body)

    def _is_stream(self) -> bool:
        return b"content-length" not in dict(self._headers)  # which every whole reply has

    def _kept_headers(self) -> Headers:
        own = _OWN.union(name for name, _ in self._request.head)
        return [
            (name, value)
            for name, value in self._headers
            if name not in own and not name.startswith(_MOMENTARY)
        ]


def _is_passing(status: int) -> bool:
    """Whether an answer says that the same request may succeed later."""
    return status in _PASSING or status > _INTERNAL


def _is_refusal(error: Exception) -> bool:
    """Whether nothing ran, or nothing came of it: our own sentences, unlike a vendor's."""
    return isinstance(error, MeterwayError) and not isinstance(error, UpstreamError)


def _unpacked(request: Request, size: int) -> None:
    """Let the handler read a body that has no content-encoding any more, and count it itself."""
    request.release()
    headers: Mapping[bytes, bytes] = request.headers
    kept = {name: value for name, value in headers.items() if name != b"content-encoding"}
    request.headers = {**kept, b"content-length": b"%d" % size}


async def _repeat(ended: Ended, request: Request, send: Send) -> None:
    """Answer as the first time, under this request's own ids. Raises `ReplyNotKeptError`."""
    if isinstance(ended, Lost):
        raise ReplyNotKeptError(
            f"The first request with this Idempotency-Key ({ended.request_id}) {_WHY[ended.why]}. "
            "Send a new key to run it again."
        )
    first = ended.request_id.encode()
    marks = ((b"idempotent-replayed", b"true"), (b"original-request", first))
    _log.info("request.replayed", original=ended.request_id, **request.facts())
    await send_reply(send, ended.status, [*request.head, *ended.headers, *marks], ended.body)
