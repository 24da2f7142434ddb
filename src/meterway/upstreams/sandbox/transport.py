"""The sandbox as a transport: requests go in as bytes, a vendor's bytes come out, no socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import chain
from types import ModuleType
from typing import Any

import msgspec

from meterway.kit.clock import Clock
from meterway.kit.errors import InvalidRequestError
from meterway.kit.ids import random_text
from meterway.kit.json import decode_top
from meterway.protocols.dialects import Dialect
from meterway.upstreams.errors import (
    CutConnectionError,
    FirstByteTimeoutError,
    ReplyTooLargeError,
)
from meterway.upstreams.sandbox import chat_wire, messages_wire
from meterway.upstreams.sandbox.behaviour import BAD_JSON, BEHAVIOURS, HANG, PREFIX, script
from meterway.upstreams.sandbox.limits import counted, stopped
from meterway.upstreams.sandbox.pieces import compact, words
from meterway.upstreams.sandbox.reading import read_chat, read_messages
from meterway.upstreams.sandbox.types import (
    Ask,
    Break,
    Counter,
    Fault,
    SandboxError,
    Script,
    Spent,
    bad_request,
)
from meterway.upstreams.transport import Headers, Outgoing

_NOT_JSON = b'{"id": "sandbox", "this is no JSON'
_MID_STREAM = "[sandbox] The server had an error in the middle of its answer."
_OVERLOADED = 529
_NO_SUCH_PATH = Fault(
    status=404,
    kind="invalid_request_error",
    anthropic="not_found_error",
    message="The sandbox has no such path.",
)
_SERVER_ERROR = Fault(
    status=500, kind="server_error", anthropic="api_error", message="[sandbox] The server failed."
)
_TURN = 16  # chunks between turns of the event loop
_EVENTS = "text/event-stream; charset=utf-8"


class SandboxResponse:
    """One answer: its chunks as they are due, cut or stalled where the script says so."""

    def __init__(  # noqa: PLR0913 - what makes up an answer
        self,
        status: int,
        headers: Mapping[str, str],
        chunks: Iterator[bytes],
        clock: Clock,
        *,
        pause: float = 0.0,
        cut: bool = False,
    ) -> None:
        self.status = status
        self.headers: Headers = [(name.encode(), text.encode()) for name, text in headers.items()]
        self._chunks = chunks
        self._clock = clock
        self._pause = pause
        self._cut = cut
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks; raises `CutConnectionError` where the script cuts the connection."""
        for number, chunk in enumerate(self._chunks):
            if self._pause:
                await self._clock.sleep(self._pause)
            elif number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            if self._closed:
                return
            yield chunk
        if self._cut and not self._closed:
            raise CutConnectionError("The sandbox cut the connection, as its model says.")

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises `ReplyTooLargeError` over `limit` bytes."""
        body = b"".join([chunk async for chunk in self])
        if len(body) > limit:
            raise ReplyTooLargeError(f"The upstream's reply is over {limit} bytes.")
        return body

    async def close(self) -> None:
        """Send no more."""
        self._closed = True


class _Face(msgspec.Struct, frozen=True):
    """One dialect: how a request is read, and the module that writes its answers."""

    dialect: Dialect
    read: Callable[[Mapping[str, Any]], Ask]
    wire: ModuleType


_CHAT = _Face(Dialect.OPENAI_CHAT, read_chat, chat_wire)
_MESSAGES = _Face(Dialect.ANTHROPIC_MESSAGES, read_messages, messages_wire)


class SandboxTransport:
    """Answers requests to the host `sandbox` in both chat dialects.

    `counter` counts tokens; its figures stand in the usage the replies report.
    """

    def __init__(self, counter: Counter, clock: Clock) -> None:
        self._counter = counter
        self._clock = clock

    async def send(self, request: Outgoing) -> SandboxResponse:
        """Answer `request` by its path and its model's name.

        Raises `FirstByteTimeoutError` for `sandbox/hang`, after the time the request allows.
        """
        path = request.url.target.partition("?")[0]
        face = _MESSAGES if path.startswith("/v1/messages") else _CHAT
        try:
            return await self._routed(request, path, face)
        except SandboxError as error:
            return self._refusal(error.fault, face)

    async def _routed(self, request: Outgoing, path: str, face: _Face) -> SandboxResponse:
        match request.method, path:
            case "POST", "/v1/chat/completions" | "/v1/messages":
                return await self._reply(request, face)
            case "POST", "/v1/messages/count_tokens":
                return await self._count(request.body)
            case "GET", "/v1/models":
                return self._answer(200, compact(_models(int(self._clock.now()))))
            case _:
                raise SandboxError(_NO_SUCH_PATH)

    async def close(self) -> None:
        """Close nothing: there is no connection."""

    async def _reply(self, request: Outgoing, face: _Face) -> SandboxResponse:
        ask = face.read(_decoded(request.body))
        said = stopped(script(ask), ask)
        if ask.model == HANG:
            await self._clock.sleep(request.timeouts.first_byte)
            raise FirstByteTimeoutError("The sandbox did not answer, as its model says.")
        said, output, thinking = await counted(said, ask, self._counter)
        read = await self._input(face.dialect, ask.model, request.body)
        at = int(self._clock.now())
        spent = Spent(input=read, output=output, thinking=thinking, at=at)
        if ask.stream:
            return self._stream(said, ask, spent, face)
        return await self._whole(said, ask, spent, face)

    def _stream(self, said: Script, ask: Ask, spent: Spent, face: _Face) -> SandboxResponse:
        events: Iterator[bytes] = face.wire.stream(said, ask, spent)
        if ask.model == BAD_JSON:
            events = iter([b"data: " + _NOT_JSON + b"\n\n"])
        elif said.breaks:
            known = list(events)
            events = iter(known[: len(known) // 2])
        if said.breaks is Break.ERROR:
            events = chain(events, [face.wire.error_event(_MID_STREAM)])
        return SandboxResponse(
            200,
            {"content-type": _EVENTS, "cache-control": "no-cache", **_request_ids()},
            events,
            self._clock,
            pause=said.pause,
            cut=said.breaks is Break.CUT,
        )

    async def _whole(self, said: Script, ask: Ask, spent: Spent, face: _Face) -> SandboxResponse:
        if said.breaks is Break.ERROR:
            raise SandboxError(_SERVER_ERROR)
        if said.pause:
            await self._clock.sleep(said.pause * len(words(said.text)))
        body: bytes = face.wire.whole(said, ask, spent)
        if ask.model == BAD_JSON:
            body = _NOT_JSON
        if said.breaks is Break.CUT:
            return self._answer(200, body[: len(body) // 2], cut=True)
        return self._answer(200, body)

    async def _count(self, body: bytes) -> SandboxResponse:
        model = _decoded(body).get("model")
        if not isinstance(model, str):
            raise bad_request("model: Field required")
        tokens = await self._input(Dialect.ANTHROPIC_MESSAGES, model, body)
        return self._answer(200, compact({"input_tokens": tokens}))

    async def _input(self, dialect: Dialect, model: str, body: bytes) -> int:
        try:
            return (await self._counter.count_messages(dialect, model, decode_top(body))).tokens
        except InvalidRequestError as error:
            raise bad_request(error.message) from error

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> SandboxResponse:
        known = {"content-type": "application/json", **_request_ids(), **(headers or {})}
        if not cut:
            known["content-length"] = str(len(body))
        return SandboxResponse(status, known, iter([body]), self._clock, cut=cut)

    def _refusal(self, fault: Fault, face: _Face) -> SandboxResponse:
        status = fault.status
        if status == _OVERLOADED and face is _CHAT:
            status = 503  # only Anthropic knows 529
        wait = {"retry-after": str(fault.retry_after)} if fault.retry_after else {}
        return self._answer(status, face.wire.failure(fault), wait)


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"The request body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_request("The request body is not a JSON object.")
    return value


def _request_ids() -> dict[str, str]:
    name = f"req_{random_text(24)}"
    return {"x-request-id": name, "request-id": name}


def _models(created: int) -> dict[str, Any]:
    rows = [
        {"id": PREFIX + name, "object": "model", "created": created, "owned_by": "sandbox"}
        for name in BEHAVIOURS
    ]
    return {"object": "list", "data": rows}
