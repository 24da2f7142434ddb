"""POST /v1/responses/compact: a conversation made short, by any model.

Follows https://platform.openai.com/docs/api-reference/responses/compact; it is a call like any
other, and billed as one.
"""

from meterway.edge.credentials import caller_of
from meterway.edge.http import Receive, Scope, Send, request_of
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.serving import Client, Desk, read_call, serve
from meterway.kit.json import raw
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import CompactTurn

PATH = "/v1/responses/compact"
_UNUSED = ("stream", "conversation", "background")


class CompactResponse:
    """The handler of the route."""

    def __init__(self, desk: Desk, turns: Turns) -> None:
        self._desk = desk
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator)
        try:
            body = await read_call(scope, receive, desk, caller)
            body = {name: value for name, value in body.items() if name not in _UNUSED}
            turn = await self._turns.begin(body | {"store": raw(False)}, caller)
            codec = CompactTurn(turn.frame.id, turn.frame.created_at, turn.body)
            call = Call(request.call_id, codec, turn.body)
            await serve(call, caller, Client(scope, request, send), desk)
        finally:
            request.release()
