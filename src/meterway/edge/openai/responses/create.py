"""POST /v1/responses.

Follows https://platform.openai.com/docs/api-reference/responses/create
"""

from meterway.auth.types import Principal
from meterway.edge.credentials import caller_of
from meterway.edge.http import Receive, Scope, Send, request_of
from meterway.edge.openai.responses.background import Acceptance, failure_of
from meterway.edge.openai.responses.turns import Turn, Turns
from meterway.edge.server import refuse
from meterway.edge.serving import STREAM_HEADERS, Client, Desk, read_call, serve
from meterway.kit.errors import MeterwayError
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import ResponsesTurn

PATH = "/v1/responses"
_PAYMENT_REQUIRED = 402


class CreateResponse:
    """The handler of the route; `billing` names the billing channel, empty for the usual one."""

    def __init__(self, desk: Desk, turns: Turns, accept: Acceptance, billing: str = "") -> None:
        self._desk = desk
        self._turns = turns
        self._accept = accept
        self._billing = billing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator)
        try:
            body = await read_call(scope, receive, desk, caller)
            turn = await self._turns.begin(body, caller)
            del body
            client = Client(scope, request, send)
            if turn.background:
                await self._accept(turn, client, self._billing)
            else:
                await respond(turn, caller, client, desk, self._billing)
        finally:
            request.release()


async def respond(
    turn: Turn, caller: Principal, client: Client, desk: Desk, billing: str = ""
) -> None:
    """Make the call of a turn and deliver its response; errors before its first byte are raised.

    An empty balance is told on the stream, where one was asked for.
    """
    call = Call(client.request.call_id, ResponsesTurn(turn.frame), turn.body, {}, billing)
    try:
        await serve(call, caller, client, desk, turn)
    except MeterwayError as error:
        if error.status != _PAYMENT_REQUIRED or not call.facts.stream:
            raise
        await _refuse_on_stream(error, call, client)


async def _refuse_on_stream(error: MeterwayError, call: Call, client: Client) -> None:
    """Tell of an empty balance as a failed response, at which agents stop instead of retrying."""
    # counted and logged as what it would be on a whole reply
    refuse(error, client.request, client.scope["path"])
    said = call.codec.encode_failure(failure_of(error))
    head = [*client.request.head, *STREAM_HEADERS]
    await client.send({"type": "http.response.start", "status": 200, "headers": head})
    await client.send({"type": "http.response.body", "body": said})
