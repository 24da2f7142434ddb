"""GET /v1beta/models and /v1beta/models/{model}, in Google's shape.

Follows https://ai.google.dev/api/models. Listed is what the key may use; a page's token is the
last model before it.
"""

from collections.abc import Awaitable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from meterway.auth.service import Authenticator
from meterway.catalog.types import Model
from meterway.edge.credentials import caller_of
from meterway.edge.gemini.generate import model_of
from meterway.edge.http import (
    JSON_TYPE,
    Handler,
    Receive,
    Scope,
    Send,
    request_of,
    send_reply,
)
from meterway.edge.openai.models import Find, Offered
from meterway.edge.server import GOOGLES_CLIENT
from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.routing.router import ModelNotFoundError

LIST_PATH, ONE_PATH = "/v1beta/models", "/v1beta/models/{model}"
_USUAL, _MOST = 50, 1000
_METHODS = ("generateContent", "countTokens")


class ModelList:
    """Serves the list; `offered` returns a caller's models in the order to list them."""

    def __init__(self, authenticator: Authenticator, offered: Offered) -> None:
        self._authenticator = authenticator
        self._offered = offered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        caller = await caller_of(scope, self._authenticator, google=True)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        size, token = _size(query.get("pageSize")), query.get("pageToken")
        await _answer(scope, send, _page(self._offered(caller), size, token))


class OneModel:
    """Serves one model; `find` returns it by any of its names where the caller may use it."""

    def __init__(self, authenticator: Authenticator, find: Find) -> None:
        self._authenticator = authenticator
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `ModelNotFoundError`."""
        del receive
        caller = await caller_of(scope, self._authenticator, google=True)
        name = model_of(scope)
        model = self._find(caller, name)
        if model is None:
            raise ModelNotFoundError(name)
        await _answer(scope, send, _shown(model))


class ByClient:
    """Serves Google's own clients in their shape under `/v1` too, and all others as usual.

    They leave the version out where they are given a base URL, and name themselves in a header.
    """

    def __init__(self, googles: Handler, usual: Handler) -> None:
        self._googles = googles
        self._usual = usual

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        is_googles = GOOGLES_CLIENT in request_of(scope).headers
        return (self._googles if is_googles else self._usual)(scope, receive, send)


async def _answer(scope: Scope, send: Send, value: dict[str, Any]) -> None:
    await send_reply(send, 200, [*request_of(scope).head, JSON_TYPE], json.encode(value))


def _page(models: Sequence[Model], size: int, token: str | None) -> dict[str, Any]:
    start = 0
    if token:
        names = [model.id for model in models]
        if token not in names:
            raise InvalidRequestError("`pageToken` is none of this list's.", param="pageToken")
        start = names.index(token) + 1
    page = models[start : start + size]
    shown: dict[str, Any] = {"models": [_shown(model) for model in page]}
    if start + size < len(models):
        shown["nextPageToken"] = page[-1].id
    return shown


def _size(text: str | None) -> int:
    """Return how many models a page has; more than the most is the most, as at Google."""
    if text is None or text == "0":
        return _USUAL
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequestError("`pageSize` must be a whole number.", param="pageSize")
    return min(int(text[:9]), _MOST) or _USUAL


def _shown(model: Model) -> dict[str, Any]:
    """Return a model; limits that nobody published are left out."""
    shown: dict[str, Any] = {
        "name": f"models/{model.id}",
        "version": model.id,
        "displayName": model.title,
        "supportedGenerationMethods": _METHODS,
        "thinking": model.reasoning,
    }
    if model.context is not None:
        shown["inputTokenLimit"] = model.context
    if model.max_output is not None:
        shown["outputTokenLimit"] = model.max_output
    return shown
