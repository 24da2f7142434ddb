"""/v1/conversations: what was said, kept for its owner, item by item.

Follows https://platform.openai.com/docs/api-reference/conversations. `include` is taken: an item is
always shown as it was kept, which is whole.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from meterway.auth.types import Principal
from meterway.db.engine import reading, transaction
from meterway.edge.openai.shelf import Asked, Endpoint, Shelf, cursor_of, listed, required
from meterway.edge.server import Route
from meterway.kit.json import is_null
from meterway.threads import items, metadata
from meterway.threads.conversations import service as conversations
from meterway.threads.types import Conversation, Item

PATH = "/v1/conversations"
ONE_PATH = f"{PATH}/{{conversation_id}}"
ITEMS_PATH = f"{ONE_PATH}/items"
ITEM_PATH = f"{ITEMS_PATH}/{{item_id}}"


def routes(shelf: Shelf) -> Sequence[Route]:
    """Return the routes of conversations."""
    office = _Office(shelf)
    return [
        Route("POST", PATH, Endpoint(shelf, office.create, keeps=True, reads=True)),
        Route("POST", ITEMS_PATH, Endpoint(shelf, office.add, keeps=True, reads=True)),
        Route("GET", ITEMS_PATH, Endpoint(shelf, office.page)),
        Route("GET", ITEM_PATH, Endpoint(shelf, office.item)),
        Route("DELETE", ITEM_PATH, Endpoint(shelf, office.delete_item)),
        Route("GET", ONE_PATH, Endpoint(shelf, office.get)),
        Route("POST", ONE_PATH, Endpoint(shelf, office.update, keeps=True, reads=True)),
        Route("DELETE", ONE_PATH, Endpoint(shelf, office.delete)),
    ]


class _Office:
    """What each endpoint does."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def create(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Make a conversation, with its first items where some are sent."""
        told, sent = metadata.read(asked.body.get("metadata")), asked.body.get("items")
        first = [] if sent is None or is_null(sent) else items.read(sent)
        now = self._shelf.clock.now()
        async with transaction(self._shelf.engine) as tx:
            made = await conversations.create(tx, caller.user_id, told, first, now=now)
        return _shown(made)

    async def get(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Show a conversation."""
        async with reading(self._shelf.engine) as connection:
            return _shown(await conversations.get(connection, caller.user_id, _id(asked)))

    async def update(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Put metadata in the place of those it has."""
        told = metadata.read(required(asked.body, "metadata"))
        async with transaction(self._shelf.engine) as tx:
            return _shown(await conversations.update(tx, caller.user_id, _id(asked), told))

    async def delete(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Delete a conversation with its items."""
        async with transaction(self._shelf.engine) as tx:
            await conversations.delete(tx, caller.user_id, _id(asked))
        return {"id": _id(asked), "object": "conversation.deleted", "deleted": True}

    async def add(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Append items and show them."""
        sent = items.read(required(asked.body, "items"))
        async with transaction(self._shelf.engine) as tx:
            added = await conversations.add_items(tx, caller.user_id, _id(asked), sent)
        return _page(added, more=False)

    async def page(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Show a page of items, the latest first unless told otherwise."""
        cursor = cursor_of(asked.query, descending=True)
        async with reading(self._shelf.engine) as connection:
            found = await conversations.items_page(connection, caller.user_id, _id(asked), cursor)
        return _page(found.rows, more=found.more)

    async def item(self, caller: Principal, asked: Asked) -> msgspec.Raw:
        """Show an item."""
        name = asked.path["item_id"]
        async with reading(self._shelf.engine) as connection:
            found = await conversations.get_item(connection, caller.user_id, _id(asked), name)
        return msgspec.Raw(found.body)

    async def delete_item(self, caller: Principal, asked: Asked) -> dict[str, Any]:
        """Delete an item and show its conversation."""
        name = asked.path["item_id"]
        async with transaction(self._shelf.engine) as tx:
            return _shown(await conversations.delete_item(tx, caller.user_id, _id(asked), name))


def _id(asked: Asked) -> str:
    return asked.path["conversation_id"]


def _shown(one: Conversation) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "conversation",
        "created_at": int(one.created_at),
        "metadata": one.metadata,
    }


def _page(found: Sequence[Item], *, more: bool) -> dict[str, Any]:
    return listed([(item.id, msgspec.Raw(item.body)) for item in found], more=more)
