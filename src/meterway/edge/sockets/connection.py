"""A WebSocket connection after its handshake: messages in, messages out, and an orderly end.

While nothing is asked it has neither a task nor a timer: the server's sweep looks after its
deadline, and a task exists while a message is being served.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Event, State
from websockets.server import ServerProtocol

from meterway.edge.cycle import Gone
from meterway.edge.http import ClientGoneError, InFlight
from meterway.edge.upgrade import Handover, Successor
from meterway.kit.errors import UnavailableError

_NEVER = math.inf
_PARTING_SECONDS = 2.0
_SLICE = 16 * 1024  # bytes looked at at a time: they unpack to a thousand times as many at most
_MOST_WAITING = 16
_COMPRESSED = 1024  # bytes from which a message is worth compressing
_log = structlog.get_logger()


class Speaker(Protocol):
    """What a socket is for: it serves the messages of one client."""

    async def serve(self, socket: "Socket", message: bytes) -> None:
        """Serve a text message. What is raised closes the socket."""

    def closed(self) -> None:
        """The connection is no more; a message may still be served to its end."""


class Socket(Successor):
    """One WebSocket connection, whose client's text messages `speaker` serves.

    One after the other, in the order they came; those that wait are few, and count as request
    bytes held until they are served. `gone` tells when the client of the message being served
    leaves; what is still sent to it then is dropped.
    """

    def __init__(
        self, connection: Handover, protocol: ServerProtocol, speaker: Speaker, in_flight: InFlight
    ) -> None:
        self.deadline = connection.loop.time() + connection.limits.ping_seconds
        self.gone = Gone()
        self._loop = connection.loop
        self._limits = connection.limits
        self._state = connection.server_state
        self._transport = connection.transport
        self._flow: FlowControl = connection.flow
        self._outbox = connection.outbox
        self._answered = self._loop.create_future()  # is done; cheaper to await than a coroutine
        self._answered.set_result(None)
        self._protocol = protocol
        self._speaker = speaker
        self._in_flight = in_flight
        self._begun: bytearray | None = None  # what came of a message that is not whole
        self._unfinished = 0  # bytes of it, and of a frame that is not whole
        self._waiting: deque[bytes] = deque()
        self._queued = 0  # bytes of those
        self._held = 0  # bytes counted as held: unfinished and queued ones
        self._running = False
        self._messages = 0  # served so far
        self._asked = False  # whether the client is still there; the answer is due
        self._ending = False  # no more messages are served
        self._parting = False  # our side is closed
        self._unsent = math.inf  # bytes the client had not taken when last looked at

    # -- what the application calls --------------------------------------------------------------

    def send(self, text: bytes) -> Awaitable[None]:
        """Send one text message, waiting while the client takes less than there is.

        Does nothing where the socket is closed.
        """
        if self._protocol.state is not State.OPEN:
            return self._answered
        if self._flow.write_paused:
            return self._send_later(text)
        extensions = self._protocol.extensions if len(text) >= _COMPRESSED else ()
        frame = Frame(Opcode.TEXT, text).serialize(mask=False, extensions=extensions)
        self._outbox.post(self._transport, frame)
        return self._answered

    async def _send_later(self, text: bytes) -> None:
        await self._flow.drain()
        await self.send(text)

    def close(self, code: int, reason: str) -> None:
        """Serve no more messages and close; `reason` has at most 123 bytes."""
        self._ending = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()

    # -- what the server calls -------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server ends: close now, or after the answer under way."""
        self._ending = True
        self._outbox.flush()
        if not self._running:
            self._close_for_restart()

    def _close_for_restart(self) -> None:
        self.close(CloseCode.GOING_AWAY, "The gateway restarts; connect again.")

    def expire(self, now: float) -> None:
        """The deadline has passed: ask whether the client is there, or part with it."""
        self._outbox.flush()
        unsent = self._transport.get_write_buffer_size()
        if self._parting or self._asked or unsent >= self._unsent:
            self._transport.abort()
        elif unsent:
            self._unsent, self.deadline = unsent, now + self._limits.stall_seconds
        elif self._unfinished:
            self._fail(CloseCode.POLICY_VIOLATION, "The message stopped arriving.")
        else:
            self._asked, self._unsent = True, math.inf
            self.deadline = now + self._limits.pong_seconds
            self._protocol.send_ping(b"")
            self._flush()

    # -- the connection --------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a callback's shape
        """End; whoever serves a message of this socket hears of it now."""
        self.deadline = _NEVER
        self._leave()
        self._state.connections.discard(self)
        self._flow.resume_writing()
        self._transport.close()
        closed = self._protocol.close_rcvd or self._protocol.close_sent
        code = CloseCode.ABNORMAL_CLOSURE if closed is None else closed.code
        _log.info("socket.closed", code=int(code), messages=self._messages)
        self._speaker.closed()

    def pause_writing(self) -> None:
        """The client takes less than there is: it is not listened to until it has."""
        self._flow.pause_writing()
        self._flow.pause_reading()
        self._unsent, self._asked = math.inf, False
        self.deadline = min(self.deadline, self._loop.time() + self._limits.stall_seconds)

    def resume_writing(self) -> None:
        """The client has taken most of what there was."""
        self._flow.resume_writing()
        self._flow.resume_reading()
        self._await_more()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        for start in range(0, len(data), _SLICE):
            self._take(data if len(data) <= _SLICE else data[start : start + _SLICE])
        self._asked = False
        self._await_more()

    def _await_more(self) -> None:
        if not self._parting:
            limits = self._limits
            wait = limits.body_idle_seconds if self._unfinished else limits.ping_seconds
            self.deadline = self._loop.time() + wait

    def _leave(self) -> None:
        """The client is not there any more, or is not listened to."""
        self._ending = True
        self._waiting.clear()
        self._begun, self._unfinished, self._queued = None, 0, 0
        self._count()
        if self._running and not self.gone.happened:
            self.gone.happen()

    # -- messages --------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        if frames := protocol.events_received():
            for frame in frames:
                self._on_frame(frame)
            self._unfinished = 0 if self._begun is None else len(self._begun)
        elif not protocol.eof_sent:  # what follows a failure is thrown away
            self._unfinished += len(data)
        if protocol.parser_exc is not None and not self._parting:
            self._log_refusal()
            self._leave()
        self._hold()
        self._flush()

    def _hold(self) -> None:
        try:
            self._count()
        except UnavailableError:
            self._fail(CloseCode.TRY_AGAIN_LATER, "The gateway holds as many bytes as it can.")

    def _count(self) -> None:
        """Have the bytes of messages that are not served yet counted as held."""
        more = self._unfinished + self._queued - self._held
        if more > 0:
            self._in_flight.take(more)
        else:
            self._in_flight.give(-more)
        self._held += more

    def _on_frame(self, frame: Event) -> None:
        assert isinstance(frame, Frame)  # requests and responses belong to handshakes
        if frame.opcode is Opcode.CLOSE:
            self._leave()
        elif self._ending:
            return
        elif frame.opcode is Opcode.BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, "Send JSON, in text messages.")
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            self._on_piece(bytes(frame.data), whole=frame.fin)

    def _on_piece(self, piece: bytes, *, whole: bool) -> None:
        if self._begun is None and not whole:
            self._begun = bytearray(piece)
        elif self._begun is None:
            self._on_message(piece)
        else:
            self._begun += piece
            if whole:
                message, self._begun = bytes(self._begun), None
                self._on_message(message)

    def _on_message(self, message: bytes) -> None:
        if not self._running:
            self._begin(message)
        elif len(self._waiting) < _MOST_WAITING and self._has_room(len(message)):
            self._waiting.append(message)
            self._queued += len(message)
        else:
            reason = "Too many messages wait; send the next one after an answer."
            self._fail(CloseCode.POLICY_VIOLATION, reason)

    def _has_room(self, size: int) -> bool:
        most = self._protocol.max_message_size
        return most is None or self._queued + size <= most

    def _begin(self, message: bytes) -> None:
        self._running = True
        self._messages += 1
        self.gone = gone = Gone()
        served = self._speaker.serve(self, message)
        gone.task = asyncio.Task(self._run(served), loop=self._loop, name="socket.message")
        self._state.tasks.add(gone.task)

    async def _run(self, served: Coroutine[Any, Any, None]) -> None:
        try:
            await served
        except ClientGoneError:
            _log.debug("socket.abandoned")
        except BaseException as error:  # noqa: BLE001 - the last place where a failure can be told
            _log.error("socket.crashed", exc_info=error)
            self.close(CloseCode.INTERNAL_ERROR, "The gateway failed on a message; see its log.")
        finally:
            self._state.tasks.discard(self.gone.task)
            self._running = False
            self._go_on()

    def _go_on(self) -> None:
        if self._ending:
            self._close_for_restart()
        elif self._waiting:
            message = self._waiting.popleft()
            self._queued -= len(message)
            self._count()
            self._begin(message)

    # -- the end ---------------------------------------------------------------------------------

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close for what the client did, and throw away what still comes."""
        self._protocol.fail(code, reason)
        self._log_refusal()
        self._leave()
        self._flush()

    def _log_refusal(self) -> None:
        closed = self._protocol.close_sent
        if closed is not None:
            _log.info("socket.refused", code=int(closed.code), reason=closed.reason)

    def _flush(self) -> None:
        """Post what the protocol has to say, and end the connection where it says so."""
        said = self._protocol.data_to_send()
        if content := b"".join(said):
            self._outbox.post(self._transport, content)
        if self._protocol.state is not State.OPEN and not self._parting:
            self._parting = self._ending = True
            self.deadline = self._loop.time() + _PARTING_SECONDS
        if SEND_EOF in said and not self._transport.is_closing():
            self._outbox.flush()
            if self._protocol.close_rcvd is not None:
                self._transport.close()
            else:
                self._transport.write_eof()  # it reads on: a reset would cost the client the code
