"""GET /v1/responses with an upgrade: the Responses API over a WebSocket.

Follows https://developers.openai.com/docs/guides/websocket-mode. Each `response.create` is a call
like one over HTTP: the key is looked at again, limits and money are held and charged for it. A
socket that was refused with 426 makes agents fall back to HTTP at once.
"""

from collections import Counter
from typing import ClassVar, Final

import msgspec

from meterway.auth.types import Principal
from meterway.edge.credentials import caller_of
from meterway.edge.cycle import GONE
from meterway.edge.http import ClientGoneError, Receive, Scope, Send, begin
from meterway.edge.openai.responses.create import respond
from meterway.edge.openai.responses.events import Events, Wish, lane_of, read_wish
from meterway.edge.openai.responses.recall import Recall
from meterway.edge.openai.responses.turns import Said, Turn, Turns
from meterway.edge.server import refuse
from meterway.edge.serving import Client, Desk
from meterway.edge.sockets.connection import Socket
from meterway.edge.sockets.handshake import open_socket
from meterway.edge.upgrade import UpgradeRequiredError
from meterway.kit.errors import MeterwayError, UnauthorizedError
from meterway.kit.ids import CallIds
from meterway.kit.json import decode_top, raw
from meterway.protocols.chat import neutral
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import ResponsesTurn
from meterway.protocols.usage import Usage

_POLICY: Final = 1008  # RFC 6455, section 7.4.1
_RETRY_SECONDS: Final = 10.0
_KEPT: Final = ("headers", "path", "query_string")


class TooManySocketsError(MeterwayError):
    """The user has as many WebSockets open as one may."""

    status, code = 429, "too_many_websockets"
    retryable: ClassVar[bool] = True

    def __init__(self, most: int) -> None:
        super().__init__(
            f"You have {most} WebSockets open, the most there may be; close those you do not use.",
            retry_after=_RETRY_SECONDS,
        )


class Sockets(msgspec.Struct, frozen=True, kw_only=True):
    """What the sockets of a worker share.

    `limit` is the size of a message, in bytes; `each` how many sockets a user may have, and
    `open` how many users do have.
    """

    ids: CallIds
    recall: Recall
    limit: int
    each: int = 100
    offered: bool = True
    open: Counter[int] = msgspec.field(default_factory=Counter)


class ResponsesSocket:
    """The ASGI handler of the route; what it refuses before the upgrade is plain HTTP."""

    def __init__(self, desk: Desk, turns: Turns, sockets: Sockets, billing: str = "") -> None:
        self._desk = desk
        self._turns = turns
        self._sockets = sockets
        self._billing = billing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the socket of one client."""
        del receive, send
        desk, sockets = self._desk, self._sockets
        user_id = (await caller_of(scope, desk.authenticator)).user_id
        if not sockets.offered:
            message = "WebSockets are turned off here; send POST /v1/responses over HTTP."
            raise UpgradeRequiredError(message, "HTTP/1.1")
        if sockets.open[user_id] >= sockets.each:
            raise TooManySocketsError(sockets.each)
        talk = _Talk(self._turns, desk, sockets, scope, self._billing)
        open_socket(scope, talk, sockets.limit, desk.in_flight)
        talk.begin(user_id)


class _Talk:
    """What is said on one socket: a `Speaker`. It remembers its responses while it is open."""

    def __init__(
        self, turns: Turns, desk: Desk, sockets: Sockets, scope: Scope, billing: str
    ) -> None:
        self._desk = desk
        self._turns = turns
        self._sockets = sockets
        self._asked = {name: scope[name] for name in _KEPT}
        self._billing = billing
        self._user_id: int | None = None  # while the socket is open

    def begin(self, user_id: int) -> None:
        """The socket is open, by a key of this user's."""
        self._user_id = user_id
        self._sockets.open[user_id] += 1

    def closed(self) -> None:
        """Forget what was said."""
        self._sockets.recall.drop(self)
        if self._user_id is not None:
            count = self._sockets.open
            count[self._user_id] -= 1
            if not count[self._user_id]:
                del count[self._user_id]
            self._user_id = None

    async def serve(self, socket: Socket, message: bytes) -> None:
        """Serve one message; what goes wrong is told, and the socket stays open."""
        scope = {**self._asked, "extensions": {GONE: socket.gone}}
        request = begin(scope, self._sockets.ids.next())
        events = Events(socket)
        try:
            request.hold(self._desk.in_flight, len(message))
            caller = await caller_of(scope, self._desk.authenticator)
            body = decode_top(message)
            del message
            events.lane = lane_of(body)
            if (wish := read_wish(body)) is not None:
                del body
                await self._answer(wish, caller, Client(scope, request, events))
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the last place where a failure can be told
            await events.fail(refuse(error, request, scope["path"]), request.request_id)
            if isinstance(error, UnauthorizedError):
                socket.close(_POLICY, "The API key is not valid any more.")
        finally:
            request.release()

    async def _answer(self, wish: Wish, caller: Principal, client: Client) -> None:
        body = wish.body
        if caller.default_model is not None:
            body.setdefault("model", raw(caller.default_model))
        turn = await self._turns.begin(body, caller, self._lately)
        del body, wish.body
        if wish.generate:
            await respond(turn, caller, client, self._desk, self._billing)
        else:
            await self._prepare(turn, caller, client)
        if self._user_id is not None and not turn.stores and (said := turn.said()) is not None:
            self._sockets.recall.put(self, turn.frame.id, said)

    def _lately(self, id_: str) -> Said | None:
        return self._sockets.recall.get(self, id_)

    async def _prepare(self, turn: Turn, caller: Principal, client: Client) -> None:
        """Tell of a response without output, once it is known that a real one could be made."""
        codec, gate = ResponsesTurn(turn.frame), self._desk.gate
        call = gate.rewrite(Call(client.request.call_id, codec, turn.body, {}), caller)
        gate.router.permit(call.facts.model, caller.allows)
        gate.router.candidates(call.facts.model, codec.dialect)
        encoder = codec.stream_encoder(call.request())
        opened = neutral.Opened(id=turn.frame.id, model=turn.frame.model)
        told = encoder.encode(opened)
        for event in (neutral.UsageReported(Usage()), neutral.Closed()):
            told += encoder.encode(event)
        if turn.due:
            await turn.keep()
        await client.send({"type": "http.response.body", "body": told})
