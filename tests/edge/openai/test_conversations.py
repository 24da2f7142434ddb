"""Conversations over HTTP: OpenAI's shapes, and refused where nothing is kept."""

import pytest

PATH = "/v1/conversations"
HELLO = {"role": "user", "content": "hello", "id": "msg_1"}


async def _made(shelf, **body):
    return (await shelf.told(f"POST {PATH}", body))["id"]


async def test_conversation_is_made_shown_changed_and_deleted(shelf):
    made = await shelf.told(f"POST {PATH}", {"metadata": {"a": "1"}, "items": [HELLO]})
    path = f"{PATH}/{made['id']}"
    assert made == {
        "id": made["id"],
        "object": "conversation",
        "created_at": int(shelf.clock.now()),
        "metadata": {"a": "1"},
    }
    assert await shelf.told(f"GET {path}") == made

    changed = await shelf.told(f"POST {path}", {"metadata": {"b": "2"}})
    assert changed == {**made, "metadata": {"b": "2"}}
    assert await shelf.told(f"POST {path}", {"metadata": None}) == {**made, "metadata": {}}

    gone = await shelf.told(f"DELETE {path}")
    assert gone == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert (await shelf.ask(f"GET {path}")).status == 404


@pytest.mark.parametrize("body", [None, {}, {"items": None, "metadata": None}, {"items": []}])
async def test_conversation_may_begin_with_nothing(shelf, body):
    made = await shelf.told(f"POST {PATH}", body)

    page = await shelf.told(f"GET {PATH}/{made['id']}/items")
    assert page == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_items_are_added_shown_and_deleted(shelf):
    id_ = await _made(shelf)
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}

    added = await shelf.told(f"POST {PATH}/{id_}/items?include=x", {"items": [HELLO, call]})

    message = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "hello"}],
    }
    shown = {**call, "status": "completed"}
    assert added["data"] == [message, shown]
    assert (added["first_id"], added["last_id"], added["has_more"]) == ("msg_1", "fc_1", False)
    assert await shelf.told(f"GET {PATH}/{id_}/items/fc_1") == shown
    gone = await shelf.told(f"DELETE {PATH}/{id_}/items/msg_1")
    assert (gone["id"], gone["object"]) == (id_, "conversation")
    assert (await shelf.ask(f"GET {PATH}/{id_}/items/msg_1")).status == 404


async def test_items_come_in_pages_the_latest_first(shelf):
    names = [f"msg_{i}" for i in range(5)]
    id_ = await _made(shelf, items=[{**HELLO, "id": name} for name in names])
    items = f"GET {PATH}/{id_}/items"

    first = await shelf.told(f"{items}?limit=2")
    second = await shelf.told(f"{items}?limit=3&after={first['last_id']}")
    upward = await shelf.told(f"{items}?order=asc&limit=100")
    nothing = await shelf.told(f"{items}?limit=0")

    assert [item["id"] for item in first["data"]] == ["msg_4", "msg_3"]
    assert (first["first_id"], first["has_more"]) == ("msg_4", True)
    assert [item["id"] for item in second["data"]] == ["msg_2", "msg_1", "msg_0"]
    assert not second["has_more"]
    assert [item["id"] for item in upward["data"]] == names
    assert (nothing["data"], nothing["last_id"], nothing["has_more"]) == ([], None, True)


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("limit=-1", 400, "limit"),
        ("limit=101", 400, "limit"),
        ("limit=x", 400, "limit"),
        ("limit=", 400, "limit"),
        ("order=up", 400, "order"),
        ("after=msg_none", 404, "after"),
        ("after=%00", 404, "after"),
    ],
)
async def test_page_that_cannot_be_is_refused(shelf, query, status, param):
    id_ = await _made(shelf, items=[HELLO])

    answer = await shelf.ask(f"GET {PATH}/{id_}/items?{query}")

    assert (answer.status, answer.json()["error"]["param"]) == (status, param)


async def test_query_of_too_many_fields_is_refused(shelf):
    id_ = await _made(shelf)

    answer = await shelf.ask(f"GET {PATH}/{id_}/items?{'&'.join(['include=x'] * 101)}")

    assert answer.status == 400


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("", {"metadata": {"a": 1}}, "invalid_request", "metadata[...]"),
        ("", {"metadata": {"a": "x" * 513}}, "bad_metadata", "metadata"),
        ("", {"items": [HELLO] * 21}, "too_many_items", "items"),
        ("", {"items": [HELLO, HELLO]}, "item_exists", "items"),
        ("", {"items": [{"role": "user"}]}, "bad_item", "items[0]"),
        ("", {"items": {}}, "invalid_request", "items"),
        ("/{id}", {}, "invalid_request", "metadata"),
        ("/{id}/items", {}, "invalid_request", "items"),
        ("/{id}/items", b"[", "invalid_request", None),
    ],
)
async def test_wrong_bodies_are_refused_by_name(shelf, path, body, code, param):
    id_ = await _made(shelf)

    answer = await shelf.ask(f"POST {PATH}{path.format(id=id_)}", body)

    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (400, code, param)
    assert error["type"] == "invalid_request_error"


async def test_refused_conversation_leaves_nothing(shelf):
    await shelf.ask(f"POST {PATH}", {"items": [HELLO, HELLO]})

    async with shelf.engine.connect() as connection:
        left = await connection.exec_driver_sql("SELECT count(*) FROM conversations")
        assert left.scalar_one() == 0


async def test_zero_retention_begins_nothing_and_may_still_read_and_delete(shelf):
    id_ = await _made(shelf, items=[HELLO])
    for path, body in (
        ("", {}),
        (f"/{id_}", {"metadata": {}}),
        (f"/{id_}/items", {"items": []}),
    ):
        answer = await shelf.ask(f"POST {PATH}{path}", body, "zero")

        assert answer.status == 403
        assert answer.json()["error"]["code"] == "zero_retention"
        assert "zero retention" in answer.json()["error"]["message"]

    assert (await shelf.told(f"GET {PATH}/{id_}/items", key="zero"))["first_id"] == "msg_1"
    assert (await shelf.told(f"DELETE {PATH}/{id_}", key="zero"))["deleted"]
