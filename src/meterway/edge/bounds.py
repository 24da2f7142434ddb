"""uvicorn's HTTP/1.1 protocol with bounds: on heads, on silence, on what hides between chunks.

uvicorn limits neither the size of a head nor the time it takes to arrive. The subclass here adds
that at about a microsecond a request: sizes are counted per network read, not per header, and no
timer belongs to a connection; one sweep a second closes those whose deadline has passed.

It also tells a handler at once when its client has gone, without a task that waits for it:
`scope["extensions"]["meterway.gone"]` is a `Gone`.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from meterway.edge.cycle import GONE, Cycle
from meterway.edge.http import ClientGoneError, Scope
from meterway.edge.limits import Limits
from meterway.edge.refusal import LONG_HEAD, LONG_TARGET, MANY_HEADERS, Refusal, refusal
from meterway.edge.sweeper import Sweeper
from meterway.edge.upgrade import UPGRADE, Successor
from meterway.kit.errors import InvalidRequestError
from meterway.kit.outbox import Outbox

_log = structlog.get_logger()
_PARTING_SECONDS, _PARTING_BYTES = 2.0, 4 * 1024 * 1024
_NEVER = math.inf


class BoundedProtocol(HttpToolsProtocol):
    """One client connection. Make a class with limits of its own by `with_limits`.

    `deadline` is the loop time at which the connection is cut unless something moves; infinite
    while the server has the turn.
    """

    limits: ClassVar[Limits] = Limits()
    sweeper: ClassVar[Sweeper]
    outbox: ClassVar[Outbox]
    cycle: Cycle  # type: ignore[assignment]  # ours stands in for uvicorn's
    scope: dict[str, Any]  # type: ignore[assignment]  # with an extension of our own

    @classmethod
    def with_limits(
        cls, limits: Limits, before: Callable[[], None] | None = None
    ) -> type["BoundedProtocol"]:
        """Return the class of one server's connections; `before` is called before each writes."""
        sweeper, outbox = Sweeper(limits.sweep_seconds), Outbox(before=before)
        members = {"limits": limits, "sweeper": sweeper, "outbox": outbox}
        return type("BoundedProtocol", (cls,), members)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self.deadline = _NEVER
        self.answered = self.loop.create_future()
        self.answered.set_result(None)
        self._asgi = {"version": self.asgi_version, "spec_version": "2.3"}
        self._served: Cycle | None = None
        self._waiting: deque[tuple[Cycle, Scope]] = deque()  # pipelined requests
        self._in_head = False
        self._in_body = False
        self._read = 0  # bytes of the network read being parsed
        self._head_first = 0  # bytes of the read in which the head began
        self._head_more = 0  # bytes of the reads after it, while the head is unfinished
        self._unfruitful = 0  # bytes since the last byte of body: framing, trailers
        self._linger = 0  # bytes that may still be thrown away
        self._linger_end = _NEVER
        self._refused = False
        self._ending = False
        self._unsent: float = math.inf  # bytes the client had not taken when last looked at
        self._unparsed = 0  # body bytes the parser will not see, after an ignored upgrade

    # -- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn: the loop hands in a stream transport
        """Begin; the first head has to arrive in time."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.limits.head_seconds
        self.sweeper.attend(self.loop, self.server_state)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a callback's shape
        """End; whoever serves a request of this connection hears of it now."""
        self.deadline = _NEVER
        self._tell_gone()
        self._waiting.clear()
        self.connections.discard(self)
        self.flow.resume_writing()
        self.transport.close()
        self.parser = None  # type: ignore[assignment]  # as in uvicorn: it refers to us

    def _tell_gone(self) -> None:
        cycle = self._served
        if cycle is not None and not cycle.response_complete:
            cycle.happen()

    def pause_writing(self) -> None:
        """The client takes less than there is; it has to take something."""
        super().pause_writing()
        self._unsent = math.inf
        self.deadline = min(self.deadline, self.loop.time() + self.limits.stall_seconds)

    def expire(self, now: float) -> None:
        """The deadline has passed: answer 408 where that is still possible, and close."""
        busy = self._served is not None and not self._served.response_complete
        self.outbox.flush()
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.transport.abort()
        elif unsent:
            self._unsent, self.deadline = unsent, now + self.limits.stall_seconds
        elif self._refused:
            self.close()
        elif self.flow.read_paused or (busy and not self._in_body):
            self.deadline = now + self.limits.body_idle_seconds  # it waits for us, not we for it
        elif self._in_head:
            self._refuse(408, "request_timeout", "The request head took too long to arrive.")
        elif busy:
            self._refuse(408, "request_timeout", "The request body stopped arriving.")
        else:
            self.close()

    def close(self) -> None:
        """End the connection once what was posted is written."""
        self.outbox.flush()
        self.transport.close()

    def shutdown(self) -> None:
        """The server ends: close now, or after the answer under way."""
        self._ending = True
        self.outbox.flush()
        super().shutdown()

    # -- bytes ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        self._read = size = len(data)
        if self._refused:
            self._discard(size)
            return
        if self._in_head:
            self._head_more += size
        elif self._in_body:
            self._unfruitful += size
        try:
            if self._unparsed:
                data = self._take_unparsed(data)
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._continue_without_upgrade(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            self._refuse_for(error)
            return
        if self._in_head or self._in_body:
            self._check_unfinished(size)

    def _check_unfinished(self, size: int) -> None:
        """A read ended within a request: bound what is pending, and wait only so long."""
        limits = self.limits
        if self._in_head:
            if not self._head_more:
                self.deadline = self.loop.time() + limits.head_seconds
            elif self._head_more > limits.head_bytes:
                target = len(self.url) > limits.target_bytes
                self._refuse(*(LONG_TARGET if target else LONG_HEAD))
            return
        self.deadline = self.loop.time() + limits.body_idle_seconds
        if self._unfruitful > limits.head_bytes:
            self._refuse(400, "bad_framing", "The request body is framed wastefully.")
        elif self.cycle.response_complete:
            self._linger -= size
            self.deadline = min(self.deadline, self._linger_end)
            if self._linger < 0:
                self.close()

    def _refuse_for(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refusal):
            self._refuse(cause.status, cause.code, cause.message)
        else:
            self._refuse(400, "bad_request", "This is not a valid HTTP request.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error where no answer has begun, and end the connection.

        What is wrong in a pipelined request lets the answer before it finish first.
        """
        cycle = self._served
        _log.info("request.refused", status=status, code=code)
        self.outbox.flush()
        if cycle is not None and not cycle.response_complete:
            if not (self._in_body and cycle is self.cycle):
                cycle.keep_alive = False
                self.flow.pause_reading()
                self._waiting.clear()
                return
            if not cycle.response_started:
                self.transport.write(refusal(status, code, message))
        else:
            self.transport.write(refusal(status, code, message))
        self._tell_gone()
        self._in_head = self._in_body = False
        self._part()

    def _part(self) -> None:
        """End our side and read on for a moment; a reset would cost the client the answer."""
        self._refused = True
        self._linger = _PARTING_BYTES
        self.deadline = self.loop.time() + _PARTING_SECONDS
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _discard(self, size: int) -> None:
        self._linger -= size
        if self._linger < 0:
            self.close()

    # -- parser callbacks ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_first, self._head_more = self._read, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head came, or a trailer."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is whole: refuse it, or start serving."""
        self._in_head = False
        limits, headers = self.limits, self.headers
        if len(headers) > limits.head_count:
            raise Refusal(*MANY_HEADERS)
        if len(self.url) > limits.target_bytes:
            raise Refusal(*LONG_TARGET)
        if self._head_first + self._head_more > limits.head_bytes:
            size = len(self.url) + sum(len(n) + len(v) + 4 for n, v in headers)
            if size > limits.head_bytes:
                raise Refusal(*LONG_HEAD)
        self._begin_cycle(headers)
        self.headers = []  # trailers go here and nowhere else
        self._in_body = True
        self._unfruitful = 0
        self.deadline = _NEVER

    def _begin_cycle(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Serve the request, after the one before it where that is not over."""
        before, parser = self.cycle, self.parser
        url, query = self.url, b""
        if url[:1] != b"/" or b"?" in url or b"#" in url:  # the usual target needs no parser
            parsed = httptools.parse_url(url)
            url, query = parsed.path, parsed.query or b""
        path = url.decode("ascii")
        method, version = parser.get_method().decode("ascii"), parser.get_http_version()
        modern, expects = version != "1.0", self.expect_100_continue
        keeps = modern and parser.should_keep_alive()
        cycle = self.cycle = Cycle(self, method, keep_alive=keeps, expected=expects, chunks=modern)
        extensions: dict[str, Any] = {GONE: cycle}
        self.scope = scope = {
            "type": "http",
            "asgi": self._asgi,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": url,
            "query_string": query,
            "headers": headers,
            "state": self.app_state.copy(),
            "extensions": extensions,
        }
        if modern and parser.should_upgrade():
            extensions[UPGRADE] = self
        if before is None or before.response_complete:
            self._serve(cycle, scope)
        else:
            self.flow.pause_reading()
            self._waiting.append((cycle, scope))

    def on_body(self, body: bytes) -> None:
        """A piece of body came."""
        self._unfruitful = 0
        cycle = self.cycle
        if not cycle.response_complete and cycle.feed(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """A request is whole, unless it asks to upgrade: the parser skips the body of such."""
        if self.parser.should_upgrade() and (length := self._declared_length()):
            self._unparsed = length
        else:
            self._finish_message()

    def _finish_message(self) -> None:
        self._in_body = False
        cycle = self.cycle
        if cycle.response_complete:
            self.deadline = self.loop.time() + self.limits.keep_alive_seconds
        else:
            self.deadline = _NEVER
            cycle.more_body = False
            cycle.wake()
        if not self._waiting:
            # A body over the high-water mark paused reading; a client who leaves would go unseen.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """An answer is whole; uvicorn's own keep-alive timer, one a request, is left out."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._waiting:
            self._serve(*self._waiting.popleft())
        elif self._in_body:
            self._linger = self.limits.linger_bytes
            self._linger_end = self.deadline = self.loop.time() + self.limits.linger_seconds
        elif not self._in_head:
            self.deadline = self.loop.time() + self.limits.keep_alive_seconds

    def _serve(self, cycle: Cycle, scope: Scope) -> None:
        self._served = cycle
        # Made directly: a name of its own and a callback at its end cost a microsecond more.
        cycle.task = asyncio.Task(self._run(cycle, scope), loop=self.loop, name="request")
        self.tasks.add(cycle.task)

    async def _run(self, cycle: Cycle, scope: Scope) -> None:
        try:
            await cycle.run(self.app, scope)
        finally:
            self.tasks.discard(cycle.task)

    # -- requests that ask to upgrade: served as they are, unless their handler does upgrade ------

    def hand_over(self, head: bytes, successor: Successor) -> None:
        """Answer the request with `head`, and have `successor` go on; see `Handover`."""
        cycle = self._served
        if cycle is None or cycle.happened or self.transport.is_closing():
            raise ClientGoneError
        if self._in_head or self._in_body or self._waiting or self.flow.read_paused:
            raise InvalidRequestError("Nothing may follow the head until it is answered with 101.")
        cycle.response_started = cycle.response_complete = True
        self.deadline = _NEVER
        self.connections.discard(self)
        self.connections.add(successor)  # type: ignore[arg-type]  # uvicorn lists its own
        self.outbox.post(self.transport, head)
        self.transport.set_protocol(successor)
        self.parser = None  # type: ignore[assignment]  # as in uvicorn: it refers to us
        if self._ending:
            successor.shutdown()

    def _declared_length(self) -> int:
        headers: dict[bytes, bytes] = dict(self.scope["headers"])
        if b"transfer-encoding" in headers:
            raise Refusal(400, "bad_upgrade", "A request that asks to upgrade needs a plain body.")
        return int(headers.get(b"content-length", 0))

    def _continue_without_upgrade(self, data: bytes, offset: int) -> None:
        """Read on after a head that asked for another protocol, which we do not speak."""
        rest = data[offset:]
        if rest:
            self.data_received(rest)

    def _take_unparsed(self, data: bytes) -> bytes:
        body, rest = data[: self._unparsed], data[self._unparsed :]
        self._unparsed -= len(body)
        self.on_body(body)
        if not self._unparsed:
            self._finish_message()
        return rest
