"""The Responses API through a whole worker, with its books: made, kept, told again, deleted."""

import asyncio
import json

import msgspec
import pytest
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.factories.workers import MODEL, USD, open_worker

PATH = "/v1/responses"
ASKED, SAYS = "Two things at most.", "[sandbox] Two things at most."
_events = TypeAdapter[ResponseStreamEvent](ResponseStreamEvent)


@pytest.fixture
async def worker(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path) as made:
        await made.give(wallet=USD)
        yield made


def ask(**more):
    return {"model": MODEL, "input": ASKED, **more}


async def made(worker, **more):
    answer = await worker.ask(f"POST {PATH}", ask(**more))
    assert answer.status == 200, answer.body
    return answer


def read(answer):
    """Return the events of a stream."""
    return [json.loads(block.split(b"\n\n")[0]) for block in answer.body.split(b"data: ")[1:]]


def told(answer):
    """Return the events of a stream, each checked by the official types."""
    events = read(answer)
    for event in events:
        _events.validate_python(event)
    return events


async def test_a_response_is_there_by_its_id_once_its_end_was_read(worker):
    answer = await made(worker, metadata={"of": "test"})

    shown = await worker.ask(f"GET {PATH}/{answer.json()['id']}")
    assert shown.body == answer.body
    response = Response.model_validate(answer.json())
    assert response.output_text == SAYS
    assert (response.status, response.metadata) == ("completed", {"of": "test"})
    assert answer.headers["x-meterway-cost"].startswith("0.")


async def test_a_streamed_response_is_kept_before_its_last_event_leaves(worker):
    events = told(await made(worker, stream=True))

    final = events[-1]["response"]
    shown = await worker.ask(f"GET {PATH}/{final['id']}")
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    assert shown.json() == final
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_a_kept_response_is_told_again_as_a_stream(worker):
    id_ = (await made(worker)).json()["id"]

    whole = told(await worker.ask(f"GET {PATH}/{id_}?stream=true"))
    rest = told(await worker.ask(f"GET {PATH}/{id_}?stream=true&starting_after=4"))

    assert [event["type"] for event in whole][-1] == "response.completed"
    assert rest == whole[5:]


async def test_the_next_turn_reads_what_was_said_and_pays_for_it(worker):
    first = (await made(worker)).json()

    second = (await made(worker, previous_response_id=first["id"], input="And?")).json()

    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    pages = await worker.ask(f"GET {PATH}/{second['id']}/input_items?order=asc")
    assert [item["content"][0]["text"] for item in pages.json()["data"]] == [ASKED, SAYS, "And?"]
    calls = await worker.posted()
    assert len(calls) == 2


async def test_input_items_are_paged(worker):
    items = [{"role": "user", "content": str(number)} for number in range(5)]
    id_ = (await made(worker, input=items)).json()["id"]

    first = (await worker.ask(f"GET {PATH}/{id_}/input_items?limit=2")).json()
    after = first["last_id"]
    then = (await worker.ask(f"GET {PATH}/{id_}/input_items?limit=2&after={after}")).json()

    said = [item["content"][0]["text"] for item in (*first["data"], *then["data"])]
    assert said == ["4", "3", "2", "1"]
    assert (first["has_more"], then["has_more"]) == (True, True)


async def test_deleting_deletes(worker):
    id_ = (await made(worker)).json()["id"]

    gone = await worker.ask(f"DELETE {PATH}/{id_}")

    assert gone.json() == {"id": id_, "object": "response", "deleted": True}
    assert (await worker.ask(f"GET {PATH}/{id_}")).status == 404
    again = await worker.ask(f"POST {PATH}", ask(previous_response_id=id_))
    assert (again.status, again.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert again.json()["error"]["param"] == "previous_response_id"


async def test_what_is_made_at_once_cannot_be_cancelled(worker):
    id_ = (await made(worker)).json()["id"]

    answer = await worker.ask(f"POST {PATH}/{id_}/cancel")

    assert answer.status == 400
    assert "background" in answer.json()["error"]["message"]


async def test_an_empty_balance_ends_a_stream_as_agents_understand_it(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path) as worker:
        whole = await worker.ask(f"POST {PATH}", ask())
        events = read(await worker.ask(f"POST {PATH}", ask(stream=True)))

        assert (whole.status, whole.json()["error"]["type"]) == (429, "insufficient_quota")
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"]["code"] == "insufficient_quota"
        assert await worker.posted() == []


async def test_counting_is_free_and_leaves_no_trace(worker):
    answer = await worker.ask(f"POST {PATH}/input_tokens", ask())

    assert answer.json()["object"] == "response.input_tokens"
    assert answer.json()["input_tokens"] > 0
    assert await worker.posted() == []


async def test_the_forwarding_service_bills_its_own_channel(worker):
    answer = await worker.ask("POST /api/v1/ai/openai/codex-omg/v1/responses", ask())

    assert answer.status == 200
    (call,) = await worker.posted()
    assert call.billing == "codex-omg"


async def test_where_no_websocket_is_asked_for_426_names_the_protocol(worker):
    answer = await worker.ask(f"GET {PATH}")

    assert (answer.status, answer.json()["error"]["code"]) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"


async def test_two_turns_at_once_on_one_conversation_are_both_kept_whole(worker):
    conversation = (await worker.ask("POST /v1/conversations", {})).json()["id"]

    answers = await asyncio.gather(
        *(made(worker, conversation=conversation, input=text) for text in ("one", "two"))
    )

    listed = await worker.ask(f"GET /v1/conversations/{conversation}/items?order=asc")
    said = [item["content"][0]["text"] for item in listed.json()["data"]]
    turns = [["one", "[sandbox] one"], ["two", "[sandbox] two"]]
    assert said in (turns[0] + turns[1], turns[1] + turns[0])
    assert {answer.json()["conversation"]["id"] for answer in answers} == {conversation}


async def test_another_users_response_is_not_there(worker):
    id_ = (await made(worker)).json()["id"]
    stranger = await worker.stranger()

    for request in (
        f"GET {PATH}/{id_}",
        f"DELETE {PATH}/{id_}",
        f"GET {PATH}/{id_}/input_items",
        f"POST {PATH}/{id_}/cancel",
    ):
        assert (await worker.ask(request, key=stranger)).status == 404, request
    assert (await worker.ask(f"GET {PATH}/{id_}")).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        f"POST {PATH}",
        f"GET {PATH}/resp_1",
        f"DELETE {PATH}/resp_1",
        f"POST {PATH}/resp_1/cancel",
        f"GET {PATH}/resp_1/input_items",
        f"POST {PATH}/input_tokens",
    ],
)
async def test_nobody_gets_in_without_a_key(worker, request_):
    answer = await worker.ask(request_, {}, key="sk-" + "x" * 48)

    assert answer.status == 401
    assert msgspec.json.decode(answer.body)["error"]["code"] == "invalid_api_key"


async def test_a_compacted_conversation_goes_on_from_its_summary(worker):
    first = (await made(worker)).json()
    ask_short = {"model": MODEL, "previous_response_id": first["id"]}

    answer = (await worker.ask(f"POST {PATH}/compact", ask_short)).json()

    compacted = CompactedResponse.model_validate(answer)
    assert compacted.object == "response.compaction"
    assert answer["output"][0]["id"].startswith("cmp_")
    assert compacted.usage.output_tokens > 0
    goes_on = [answer["output"][0], {"role": "user", "content": "On."}]
    for store in (True, False):
        then = await made(worker, input=goes_on, store=store)
        assert then.json()["output"][0]["content"][0]["text"] == "[sandbox] On."
    assert len(await worker.posted()) == 4
