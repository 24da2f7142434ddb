"""Every endpoint of what is kept: anonymous 401, another owner's id 404.

A route that stands in neither table below fails the suite.
"""

from typing import Any

import pytest

from tests.edge.openai.test_stored import _keep

NAMING: dict[str, Any] = {
    "POST /v1/conversations/{conversation_id}/items": {"items": []},
    "GET /v1/conversations/{conversation_id}/items": None,
    "GET /v1/conversations/{conversation_id}/items/{item_id}": None,
    "DELETE /v1/conversations/{conversation_id}/items/{item_id}": None,
    "GET /v1/conversations/{conversation_id}": None,
    "POST /v1/conversations/{conversation_id}": {"metadata": {}},
    "DELETE /v1/conversations/{conversation_id}": None,
    "GET /v1/chat/completions/{completion_id}/messages": None,
    "GET /v1/chat/completions/{completion_id}": None,
    "POST /v1/chat/completions/{completion_id}": {"metadata": {}},
    "DELETE /v1/chat/completions/{completion_id}": None,
    "POST /api/v1/store/chat-completions/get": {"completion_id": "chatcmpl-anns"},
    "POST /api/v1/store/chat-completions/delete": {"completion_id": "chatcmpl-anns"},
}
NAMING_NOTHING = {
    "POST /v1/conversations": "makes one of the caller's",
    "GET /v1/chat/completions": "lists the caller's",
    "POST /api/v1/store/chat-completions/list": "lists the caller's",
}


@pytest.fixture
async def anns(shelf):
    """What Ann has: a conversation of one item, and a completion."""
    item = {"id": "msg_anns", "role": "user", "content": "x"}
    made = await shelf.told("POST /v1/conversations", {"items": [item]})
    await _keep(shelf, "chatcmpl-anns")
    return {
        "conversation_id": made["id"],
        "item_id": "msg_anns",
        "completion_id": "chatcmpl-anns",
    }


def test_every_route_says_what_it_names(shelf):
    routes = {f"{route.method} {route.path}" for route in shelf.routes}

    assert routes == NAMING.keys() | NAMING_NOTHING.keys()


async def test_nobody_gets_in_without_a_key(shelf, anns):
    for name in [*NAMING, *NAMING_NOTHING]:
        for key in (None, "sk-" + "x" * 48):
            answer = await shelf.ask(name.format(**anns), {}, key)

            assert answer.status == 401, name


async def test_what_is_somebody_elses_is_not_there(shelf, anns):
    for name, body in NAMING.items():
        answer = await shelf.ask(name.format(**anns), body, "bob")

        assert answer.status == 404, name
    assert (await shelf.told("GET /v1/chat/completions", key="bob"))["data"] == []
    told = await shelf.told("POST /api/v1/store/chat-completions/list", {}, "bob")
    assert told["data"]["data"] == []
    answer = await shelf.ask("GET /v1/chat/completions?after=chatcmpl-anns", None, "bob")
    assert answer.status == 404


async def test_what_is_ones_own_is_there(shelf, anns):
    deletes = [name for name in NAMING if "DELETE" in name or "delete" in name]
    reads = [name for name in NAMING if name not in deletes]

    for name in reads:
        assert (await shelf.ask(name.format(**anns), NAMING[name])).status == 200, name
    for name in deletes[:3]:
        assert (await shelf.ask(name.format(**anns), NAMING[name])).status == 200, name
