"""Stored completions over the platform: POST `/api/v1/store/chat-completions/{list,get,delete}`.

The same as `/v1/chat/completions` below, for those who speak the platform's way. The paths are
our own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.types import Principal
from meterway.db.engine import reading, transaction
from meterway.edge.openai.shelf import MOST
from meterway.edge.openai.stored import deleted, shown, shown_page
from meterway.edge.platform.envelope import ANY_KEY, Door, Endpoint
from meterway.edge.platform.forms import BadFieldError, Fields
from meterway.edge.server import Route
from meterway.threads import metadata
from meterway.threads.completions import service as completions
from meterway.threads.types import Cursor

BASE = "/api/v1/store/chat-completions/"
_USUAL = 20
_ID = "completion_id"


def routes(door: Door, engine: AsyncEngine) -> Sequence[Route]:
    """Return the routes of stored completions."""
    office = _Office(engine)
    acts = {"list": office.page, "get": office.get, "delete": office.delete}
    return [Route("POST", BASE + name, Endpoint(door, ANY_KEY, act)) for name, act in acts.items()]


class _Office:
    """What each endpoint does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Return a page of the caller's completions."""
        order = fields.text("order") or "asc"
        if order not in {"asc", "desc"}:
            raise BadFieldError("order", "is `asc` or `desc`")
        limit = fields.whole("limit", 1, MOST) or _USUAL
        cursor = Cursor(fields.text("after"), limit, order == "desc")
        wanted: Mapping[str, str] = metadata.checked(fields.texts("metadata") or {})
        async with reading(self._engine) as connection:
            found = await completions.page(
                connection, caller.user_id, cursor, model=fields.text("model"), metadata=wanted
            )
        return shown_page(found)

    async def get(self, caller: Principal, fields: Fields) -> Any:
        """Return a completion."""
        async with reading(self._engine) as connection:
            return shown(await completions.get(connection, caller.user_id, _named(fields)))

    async def delete(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Delete a completion."""
        name = _named(fields)
        async with transaction(self._engine) as tx:
            await completions.delete(tx, caller.user_id, name)
        return deleted(name)


def _named(fields: Fields) -> str:
    fields.require(_ID)
    return fields.text(_ID) or ""
