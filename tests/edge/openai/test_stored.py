"""Stored completions over HTTP, in OpenAI's shapes and in the platform's envelope."""

from typing import Any

import msgspec
import pytest

from meterway.db.engine import transaction
from meterway.threads.completions import service as completions
from meterway.threads.types import StoredCompletion

PATH = "/v1/chat/completions"
STORE = "/api/v1/store/chat-completions"
PARTS = [
    {"type": "text", "text": "look"},
    {"type": "image_url", "image_url": {"url": "data:x"}},
    {"type": "file", "file": {"file_id": "f"}},
]
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": PARTS, "name": "ann"},
    {"role": "assistant", "tool_calls": [{"id": "c"}]},
]


async def _owner(shelf):
    async with shelf.engine.connect() as connection:
        return (await connection.exec_driver_sql("SELECT min(id) FROM users")).scalar_one()


async def _keep(shelf, id_, **changes):
    facts = {
        "id": id_,
        "user_id": await _owner(shelf),
        "key_id": 1,
        "created_at": 1.0,
        "model": "gpt-4o",
        "metadata": {},
        "messages": msgspec.json.encode(MESSAGES),
        "body": msgspec.json.encode({"id": id_, "object": "chat.completion"}),
    }
    async with transaction(shelf.engine) as tx:
        await completions.add(tx, StoredCompletion(**{**facts, **changes}))


def _ids(page):
    assert page["object"] == "list"
    return [one["id"] for one in page["data"]]


async def test_completion_is_shown_changed_and_deleted(shelf):
    await _keep(shelf, "c1", metadata={"a": "1"})
    shown = {"id": "c1", "object": "chat.completion", "metadata": {"a": "1"}}
    assert await shelf.told(f"GET {PATH}/c1") == shown

    changed = await shelf.told(f"POST {PATH}/c1", {"metadata": {"b": "2"}})
    assert changed == {**shown, "metadata": {"b": "2"}}
    assert await shelf.told(f"GET {PATH}/c1") == changed

    gone = await shelf.told(f"DELETE {PATH}/c1")
    assert gone == {"id": "c1", "object": "chat.completion.deleted", "deleted": True}
    assert (await shelf.ask(f"GET {PATH}/c1")).json()["error"]["code"] == "completion_not_found"


async def test_completions_are_listed_the_oldest_first_and_filtered(shelf):
    await _keep(shelf, "c1", created_at=2.0, metadata={"k": "50%"})
    await _keep(shelf, "c2", created_at=1.0, metadata={"k": "500"})
    await _keep(shelf, "c3", created_at=3.0, model="other", metadata={"k": "50%", "a b": "é"})

    assert _ids(await shelf.told(f"GET {PATH}")) == ["c2", "c1", "c3"]
    assert _ids(await shelf.told(f"GET {PATH}?order=desc&limit=2")) == ["c3", "c1"]
    assert _ids(await shelf.told(f"GET {PATH}?after=c2")) == ["c1", "c3"]
    assert _ids(await shelf.told(f"GET {PATH}?model=gpt-4o")) == ["c2", "c1"]
    assert _ids(await shelf.told(f"GET {PATH}?metadata[k]=50%25")) == ["c1", "c3"]
    both = "metadata%5Bk%5D=50%25&metadata%5Ba+b%5D=%C3%A9"
    assert _ids(await shelf.told(f"GET {PATH}?{both}")) == ["c3"]
    page = await shelf.told(f"GET {PATH}?limit=2")
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("c2", "c1", True)


@pytest.mark.parametrize("query", ["limit=1e1", "order=x", "metadata[a]=%00", "after=c9"])
async def test_list_that_cannot_be_is_refused(shelf, query):
    answer = await shelf.ask(f"GET {PATH}?{query}")

    assert answer.status == (404 if query.startswith("after") else 400)


async def test_messages_of_the_request_have_ids_and_pages(shelf):
    await _keep(shelf, "c1")

    page = await shelf.told(f"GET {PATH}/c1/messages")
    system, user, assistant = page["data"]
    backward = await shelf.told(f"GET {PATH}/c1/messages?order=desc&limit=1&after=c1-2")

    assert system == {**MESSAGES[0], "id": "c1-0", "name": None, "content_parts": None}
    assert (user["content"], user["content_parts"], user["name"]) == (None, PARTS[:2], "ann")
    assert (assistant["content"], assistant["tool_calls"]) == (None, [{"id": "c"}])
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("c1-0", "c1-2", False)
    assert _ids(backward) == ["c1-1"]
    assert backward["has_more"]
    assert (await shelf.ask(f"GET {PATH}/c1/messages?after=c1-9")).status == 400


async def test_platform_lists_shows_and_deletes_the_same(shelf):
    await _keep(shelf, "c1", metadata={"a": "1"})
    await _keep(shelf, "c2", metadata={"a": "2"}, created_at=2.0)

    listed = await shelf.told(f"POST {STORE}/list", {"order": "desc", "limit": "1"})
    filtered = await shelf.told(f"POST {STORE}/list", {"metadata": {"a": "1"}, "model": "gpt-4o"})
    as_text = await shelf.told(f"POST {STORE}/list", {"metadata": '{"a": "2"}', "after": "c1"})
    got = await shelf.told(f"POST {STORE}/get", {"completion_id": "c1"})
    gone = await shelf.told(f"POST {STORE}/delete", {"completion_id": "c1"})

    assert _ids(listed["data"]) == ["c2"]
    assert _ids(filtered["data"]) == ["c1"]
    assert _ids(as_text["data"]) == ["c2"]
    assert got["data"] == {"id": "c1", "object": "chat.completion", "metadata": {"a": "1"}}
    assert gone["data"]["deleted"]
    answer = await shelf.ask(f"POST {STORE}/get", {"completion_id": "c1"})
    assert (answer.status, answer.json()["errorType"]) == (404, "completion_not_found_error")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("get", {}),
        ("delete", {"completion_id": ""}),
        ("list", {"order": "x"}),
        ("list", {"limit": 0}),
        ("list", {"metadata": {"a": 1}}),
        ("list", {"metadata": "["}),
        ("list", {"metadata": []}),
    ],
)
async def test_platforms_fields_that_cannot_be_are_refused(shelf, name, body):
    answer = await shelf.ask(f"POST {STORE}/{name}", body)

    assert answer.status == (404 if body == {"completion_id": ""} else 400)
