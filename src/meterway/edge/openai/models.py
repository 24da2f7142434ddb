"""GET /v1/models and /v1/models/{model}, in OpenAI's shape and in Anthropic's.

Follows https://platform.openai.com/docs/api-reference/models and
https://platform.claude.com/docs/en/api/models-list; a request with `anthropic-version` gets the
latter. Listed is what the key may use.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.catalog.types import Model
from meterway.edge.credentials import caller_of
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.routing.router import ModelNotFoundError

LIST_PATH, ONE_PATH = "/v1/models", "/v1/models/{model}"
_LEAST, _MOST, _USUAL = 1, 1000, 20
_STAGES = frozenset({"active", "deprecated", "retired"})

Offered = Callable[[Principal], Sequence[Model]]
Find = Callable[[Principal, str], Model | None]
Query = Sequence[tuple[str, str]]


class ModelList:
    """Serves the list; `offered` returns a caller's models in the order to list them."""

    def __init__(self, authenticator: Authenticator, offered: Offered) -> None:
        self._authenticator = authenticator
        self._offered = offered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        models = self._offered(await caller_of(scope, self._authenticator))
        if _asks_anthropic(scope):
            query = parse_qsl(scope["query_string"].decode("latin-1"))
            page = _anthropic_page(models, query)
        else:
            page = {"object": "list", "data": [_openai(model) for model in models]}
        await _answer(scope, send, page)


class OneModel:
    """Serves one model; `find` returns it by any of its names where the caller may use it."""

    def __init__(self, authenticator: Authenticator, find: Find) -> None:
        self._authenticator = authenticator
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `ModelNotFoundError`."""
        del receive
        caller = await caller_of(scope, self._authenticator)
        name = scope["path_params"]["model"]
        model = self._find(caller, name)
        if model is None:
            raise ModelNotFoundError(name)
        await _answer(scope, send, _anthropic(model) if _asks_anthropic(scope) else _openai(model))


def _asks_anthropic(scope: Scope) -> bool:
    return b"anthropic-version" in request_of(scope).headers


async def _answer(scope: Scope, send: Send, value: dict[str, Any]) -> None:
    await send_reply(send, 200, [*request_of(scope).head, JSON_TYPE], json.encode(value))


def _openai(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.vendor,
    }


def _anthropic(model: Model) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.title,
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
        "lifecycle": _stage(model),
    }


def _anthropic_page(models: Sequence[Model], query: Query) -> dict[str, Any]:
    """Cut the page after `after_id` and before `before_id`, of at most `limit` models.

    Given `before_id` alone, it ends there; else it begins where it may.
    """
    given = dict(query)
    limit = _limit(given.get("limit"))
    names = [model.id for model in models]
    start = _place(names, given["after_id"], "after_id") + 1 if "after_id" in given else 0
    end = _place(names, given["before_id"], "before_id") if "before_id" in given else len(names)
    stages = _stages(query)
    found = [model for model in models[start:end] if _stage(model) in stages]
    backwards = "before_id" in given and "after_id" not in given
    page = found[-limit:] if backwards else found[:limit]
    return _page(page, more=len(found) > len(page))


def _stages(query: Query) -> frozenset[str]:
    """Return the stages of life asked for; repeated as `lifecycle` or `lifecycle[]`."""
    asked = frozenset(value for name, value in query if name in {"lifecycle", "lifecycle[]"})
    if not asked <= _STAGES:
        message = f"`lifecycle` is one of {', '.join(sorted(_STAGES))}."
        raise InvalidRequestError(message, param="lifecycle")
    return asked or _STAGES


def _stage(model: Model) -> str:
    return "deprecated" if model.deprecated else "active"


def _page(models: Sequence[Model], *, more: bool) -> dict[str, Any]:
    data = [_anthropic(model) for model in models]
    return {
        "data": data,
        "has_more": more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return _USUAL
    if not (text.isascii() and text.isdigit() and _LEAST <= int(text[:5]) <= _MOST):
        message = f"`limit` must be a whole number from {_LEAST} to {_MOST}."
        raise InvalidRequestError(message, param="limit")
    return int(text)


def _place(names: Sequence[str], name: str, param: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise InvalidRequestError(f"`{param}` names no listed model.", param=param) from None
