"""What a turn of the Responses API is refused for, or races with, and that it is charged right."""

import asyncio

import pytest
from sqlalchemy import text

from meterway.db.engine import transaction
from tests.factories.workers import MODEL, USD, open_worker

PATH = "/v1/responses"


@pytest.fixture
async def worker(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path) as made:
        await made.give(wallet=USD)
        yield made


async def ask(worker, **fields):
    return await worker.ask(f"POST {PATH}", {"model": MODEL, "input": "hi", **fields})


async def made(worker, **fields):
    answer = await ask(worker, **fields)
    assert answer.status == 200, answer.body
    return answer.json()["id"]


async def refused(worker, **fields):
    """Be refused whole and on a stream alike; return the error."""
    whole, streamed = await ask(worker, **fields), await ask(worker, **fields, stream=True)
    assert (whole.status, whole.json()) == (streamed.status, streamed.json())
    return whole.status, whole.json()["error"]


async def paid(worker):
    """Return how many calls were posted, once the wallet was seen to have paid them alone."""
    calls = await worker.posted()
    left, _ = await worker.balances()
    assert left == USD - sum(call.price for call in calls)
    return len(calls)


async def test_an_item_of_an_unknown_type_is_refused_by_its_place(worker):
    items = [{"role": "user", "content": "hi"}, {"type": "telepathy", "thought": "hm"}]

    status, error = await refused(worker, input=items)

    assert (status, error["param"]) == (400, "input[1].type")
    assert "telepathy" in error["message"]
    assert await paid(worker) == 0


@pytest.mark.parametrize("deleted", [0, 1], ids=["its-parents-parent", "its-parent"])
async def test_what_was_deleted_is_no_parent_any_more(worker, deleted):
    first = await made(worker)
    chain = [first, await made(worker, previous_response_id=first)]
    await worker.ask(f"DELETE {PATH}/{chain[deleted]}")

    status, error = await refused(worker, previous_response_id=chain[1])

    assert (status, error["code"]) == (400, "previous_response_not_found")
    assert (error["param"], chain[deleted] in error["message"]) == ("previous_response_id", True)
    assert await paid(worker) == 2


async def test_a_circle_of_parents_is_refused_and_the_turns_stay(worker):
    first = await made(worker)
    second = await made(worker, previous_response_id=first)
    async with transaction(worker.engine) as tx:  # nobody can ask for one
        query = text("UPDATE responses SET previous_id = :second WHERE id = :first")
        await tx.execute(query, {"first": first, "second": second})

    status, error = await refused(worker, previous_response_id=second)

    assert (status, error["param"]) == (400, "previous_response_id")
    assert "begin anew" in error["message"]
    for id_ in (first, second):
        assert (await worker.ask(f"GET {PATH}/{id_}")).status == 200
    assert await paid(worker) == 2


async def test_two_turns_at_once_on_one_conversation_are_charged_once_each(worker):
    conversation = (await worker.ask("POST /v1/conversations", {})).json()["id"]

    ids = await asyncio.gather(
        *(made(worker, conversation=conversation, input=said) for said in ("one", "two"))
    )

    assert len({*ids}) == 2
    listed = await worker.ask(f"GET /v1/conversations/{conversation}/items")
    assert len(listed.json()["data"]) == 4
    assert await paid(worker) == 2


async def test_two_turns_at_once_on_one_parent_are_two_branches(worker):
    parent = await made(worker, input="zero")

    ids = await asyncio.gather(
        *(made(worker, previous_response_id=parent, input=said) for said in ("one", "two"))
    )

    for id_, said in zip(ids, ("one", "two"), strict=True):
        items = await worker.ask(f"GET {PATH}/{id_}/input_items?order=asc")
        texts = [item["content"][0]["text"] for item in items.json()["data"]]
        assert texts[-1] == said
        assert not ({"one", "two"} - {said}) & set(texts)
    assert await paid(worker) == 3
