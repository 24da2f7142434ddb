"""POST /v1/responses/input_tokens: free, and leaves no record of any kind.

Follows https://platform.openai.com/docs/api-reference/responses/input-tokens.
"""

from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.serving import Desk, read_call
from meterway.kit.json import decode_top, encode
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.relay.counting import InputCounter

PATH = "/v1/responses/input_tokens"


class CountInput:
    """The handler of the route."""

    def __init__(self, desk: Desk, turns: Turns, counter: InputCounter) -> None:
        self._desk = desk
        self._turns = turns
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator)
        await desk.gate.limits.admit_count(caller)
        try:
            body = await read_call(scope, receive, desk, caller)
            model = OPENAI_RESPONSES.facts(body).model
            turn = await self._turns.begin(body, caller)
            # Counted as a chat is: the frames around messages are the same for its models.
            asked = OPENAI_CHAT.encode_request(OPENAI_RESPONSES.decode_request(turn.body), model)
            count = await self._counter.count(
                OPENAI_CHAT.dialect, decode_top(asked.body), {}, caller
            )
        finally:
            request.release()
        source = (b"x-meterway-token-source", count.source.encode())
        told = encode({"object": "response.input_tokens", "input_tokens": count.tokens})
        await send_reply(send, 200, [*request.head, JSON_TYPE, source], told)
