"""`/`: what clients and people ask for to see whether anybody is there."""

from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply

_BODY = b'{"name":"meterway","docs":"/docs"}'


async def home(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once; a browser is sent to the documentation."""
    del receive
    request = request_of(scope)
    if b"text/html" in request.headers.get(b"accept", b""):
        await send_reply(send, 307, [*request.head, (b"location", b"/docs")], b"")
        return
    await send_reply(send, 200, [*request.head, JSON_TYPE], _BODY)
