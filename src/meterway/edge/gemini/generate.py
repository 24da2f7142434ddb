"""POST /v1beta/models/{model}:generateContent and :streamGenerateContent.

Follows https://ai.google.dev/api/generate-content. A stream is one JSON array, or with `?alt=sse`
server-sent events, as Google's own clients ask for.
"""

from typing import Final
from urllib.parse import parse_qsl

from meterway.edge.credentials import caller_of
from meterway.edge.http import Receive, Scope, Send, read_body, request_of
from meterway.edge.serving import Client, Desk, Framing, serve
from meterway.kit.json import decode_top, raw
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.gemini import GEMINI, GEMINI_ARRAY, MODEL, STREAM

WHOLE_PATH = "/v1beta/models/{model}:generateContent"
STREAM_PATH = "/v1beta/models/{model}:streamGenerateContent"
_MODELS: Final = "models/"
_ALT: Final = (("alt", "sse"), ("$alt", "sse"))
_EVENTS: Final = Framing()
_ARRAY: Final = Framing(
    headers=(
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ),
    comment=b"\n",  # white space between two elements
)


class GenerateContent:
    """The handler of both routes; the path says the model and, by its method, whether to stream."""

    def __init__(self, desk: Desk, *, stream: bool) -> None:
        self._desk = desk
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        desk, request = self._desk, request_of(scope)
        caller = await caller_of(scope, desk.authenticator, google=True)
        as_array = self._stream and not asks_for_events(scope)
        codec, framing = (GEMINI_ARRAY, _ARRAY) if as_array else (GEMINI, _EVENTS)
        try:
            body = decode_top(await read_body(scope, receive, desk.body_limit, desk.in_flight))
            body |= {MODEL: raw(model_of(scope)), STREAM: raw(self._stream)}
            call = Call(request.call_id, codec, body)
            del body
            await serve(call, caller, Client(scope, request, send, framing), desk)
        finally:
            request.release()


def model_of(scope: Scope) -> str:
    """Return the model a path names."""
    name: str = scope["path_params"]["model"]
    return name.removeprefix(_MODELS)


def asks_for_events(scope: Scope) -> bool:
    """Whether the query asks for server-sent events."""
    query = scope["query_string"].decode("latin-1")
    return any(pair in _ALT for pair in parse_qsl(query))
