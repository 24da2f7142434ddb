"""`/version`: which version answers."""

from meterway import __version__
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.kit import json

_BODY = json.encode({"name": "meterway", "version": __version__})


async def version(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the product's name and version."""
    del receive
    await send_reply(send, 200, [*request_of(scope).head, JSON_TYPE], _BODY)
