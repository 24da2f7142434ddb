"""POST /v1beta/models/{model}:countTokens: free, and leaves no record of any kind.

Follows https://ai.google.dev/api/tokens; fields that do not bear on the count are ignored.
"""

from meterway.edge.credentials import caller_of
from meterway.edge.gemini.generate import model_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, read_body, request_of, send_reply
from meterway.edge.serving import Desk
from meterway.kit.json import RawObject, decode_as, decode_top, encode, raw
from meterway.protocols.chat.gemini import MODEL, canonical
from meterway.protocols.dialects import Dialect
from meterway.relay.counting import InputCounter

PATH = "/v1beta/models/{model}:countTokens"
_WHOLE = "generateContentRequest"


class CountTokens:
    """The handler of the route."""

    def __init__(self, desk: Desk, counter: InputCounter) -> None:
        self._desk = desk
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator, google=True)
        await desk.gate.limits.admit_count(caller)
        try:
            sent = decode_top(await read_body(scope, receive, desk.body_limit, desk.in_flight))
            body = _counted(sent) | {MODEL: raw(model_of(scope))}
            count = await self._counter.count(Dialect.GEMINI, body, {}, caller)
        finally:
            request.release()
        source = (b"x-meterway-token-source", count.source.encode())
        head = [*request.head, JSON_TYPE, source]
        await send_reply(send, 200, head, encode({"totalTokens": count.tokens}))


def _counted(sent: RawObject) -> RawObject:
    """Return what is to be counted: the body, or the whole request it holds."""
    body = canonical(sent)
    whole = body.get(_WHOLE)
    return body if whole is None else canonical(decode_as(whole, RawObject, _WHOLE))
