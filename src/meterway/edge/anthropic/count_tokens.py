"""POST /v1/messages/count_tokens: free, and leaves no record of any kind.

Follows https://platform.claude.com/docs/en/api/messages-count-tokens; fields that do not bear on
the count (`stream`, `max_tokens`, anything unknown) are ignored instead of refused.
"""

from meterway.edge.anthropic.headers import travelling
from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.edge.serving import Desk, read_call
from meterway.kit.json import encode
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.relay.counting import InputCounter

PATH = "/v1/messages/count_tokens"


class CountTokens:
    """The handler of the route."""

    def __init__(self, desk: Desk, counter: InputCounter) -> None:
        self._desk = desk
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator)
        await desk.gate.limits.admit_count(caller)
        try:
            body = await read_call(scope, receive, desk, caller)
            ANTHROPIC_MESSAGES.facts({name: body[name] for name in ("model",) if name in body})
            count = await self._counter.count(
                ANTHROPIC_MESSAGES.dialect, body, travelling(request), caller
            )
        finally:
            request.release()
        source = (b"x-meterway-token-source", count.source.encode())
        head = [*request.head, JSON_TYPE, source]
        await send_reply(send, 200, head, encode({"input_tokens": count.tokens}))
