"""`/openapi.json`: the API's description, joined from fragments kept by hand next to this file."""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from meterway import __version__
from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply

_FOLDER = files("meterway.edge.platform") / "description"
_FRAGMENTS = (
    "chat.json",
    "stored.json",
    "responses.json",
    "conversations.json",
    "messages.json",
    "legacy.json",
    "models.json",
    "gemini.json",
    "forwarding.json",
    "keys.json",
    "account.json",
    "platform.json",
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document. Raises `ValueError` where two fragments claim one name."""
    whole: dict[str, Any] = _read("openapi.json")
    whole["info"]["version"] = __version__
    for name in _FRAGMENTS:
        fragment = _read(name)
        _join(whole["paths"], fragment.get("paths", {}))
        _join(whole["components"]["schemas"], fragment.get("schemas", {}))
    return whole


def _read(name: str) -> dict[str, Any]:
    return msgspec.json.decode((_FOLDER / name).read_bytes(), type=dict[str, Any])


def _join(whole: dict[str, Any], part: dict[str, Any]) -> None:
    if twice := whole.keys() & part.keys():
        raise ValueError(f"the API description has {sorted(twice)} twice")
    whole.update(part)


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


async def openapi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the document."""
    del receive
    await send_reply(send, 200, [*request_of(scope).head, JSON_TYPE], _encoded())
