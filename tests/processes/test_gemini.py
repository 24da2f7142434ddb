"""The Gemini face of a whole worker: from a request to the books."""

import json

import pytest

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from tests.factories.workers import MODEL, OTHER, USD, open_worker

BASE = f"/v1beta/models/{MODEL}"
ASK = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "generationConfig": {"maxOutputTokens": 10},
}
WHOLE, STREAM, COUNT = (
    f"POST {BASE}:{method}"
    for method in ("generateContent", "streamGenerateContent", "countTokens")
)


@pytest.fixture
async def worker(engine, tmp_path):
    async with open_worker(engine, tmp_path) as made:
        yield made


async def test_a_call_is_charged_what_its_reply_says(worker):
    await worker.give(wallet=USD)

    answer = await worker.ask(WHOLE, ASK)

    used = answer.json()["usageMetadata"]
    (call,) = await worker.posted()
    assert answer.status == 200
    assert call.price == (used["promptTokenCount"] + 2 * used["candidatesTokenCount"]) * 1_000
    assert call.price == call.paid > 0


async def test_a_stream_is_charged_like_the_whole(worker):
    await worker.give(wallet=USD)

    await worker.ask(WHOLE, ASK)
    await worker.ask(STREAM, ASK)
    await worker.ask(f"{STREAM}?alt=sse", ASK)

    assert len({call.price for call in await worker.posted()}) == 1


@pytest.mark.parametrize("request_line", [WHOLE, STREAM, f"{STREAM}?alt=sse"])
async def test_short_of_money_it_is_402_and_nothing_is_charged(worker, request_line):
    answer = await worker.ask(request_line, ASK)

    assert (answer.status, answer.json()["error"]["status"]) == (402, "RESOURCE_EXHAUSTED")
    assert answer.headers["x-should-retry"] == "false"
    assert await worker.posted() == []


async def test_counting_costs_nothing_and_leaves_nothing(worker):
    bare = await worker.ask(COUNT, {"contents": ASK["contents"]})
    whole = await worker.ask(COUNT, {"generateContentRequest": ASK})
    claude = await worker.ask(
        "POST /v1beta/models/claude-3-opus:countTokens",
        {"contents": [{"parts": [{"text": "Say test"}]}]},
    )

    assert bare.json() == whole.json()
    said = {"model": "claude-3-opus", "messages": [{"role": "user", "content": "Say test"}]}
    theirs = await worker.ask("POST /v1/messages/count_tokens", said)
    assert claude.json() == {"totalTokens": theirs.json()["input_tokens"]}
    source = "x-meterway-token-source"
    assert claude.headers[source] == theirs.headers[source]
    assert await worker.posted() == []


async def test_models_are_listed_and_named(worker):
    listed = await worker.ask("GET /v1beta/models?pageSize=1000")
    one = await worker.ask(f"GET {BASE}")

    assert one.json() in listed.json()["models"]
    assert one.json()["name"] == f"models/{MODEL}"


async def test_what_a_key_may_not_use_is_403(worker):
    async with transaction(worker.engine) as tx:
        new = NewKey(user_id=worker.user, permissions=frozenset({OTHER}))
        _, token = await keys.create(tx, worker.pepper, new, known={OTHER}, now=0)

    for request in (WHOLE, STREAM, COUNT):
        answer = await worker.ask(request, ASK, key=token)
        assert (answer.status, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert (await worker.ask(f"GET {BASE}", key=token)).status == 404


async def test_a_repeat_gets_its_first_reply_and_is_charged_once(worker):
    await worker.give(wallet=USD)
    once = {"more": ["idempotency-key: one"]}

    first = await worker.ask(f"{WHOLE}?key={worker.token}", ASK, auth="x-none: {}", **once)
    again = await worker.ask(f"{WHOLE}?key={worker.token}", ASK, auth="x-none: {}", **once)

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert len(await worker.posted()) == 1


async def test_a_request_of_the_wrong_form_is_told_its_place(worker):
    await worker.give(wallet=USD)

    answer = await worker.ask(WHOLE, {"contents": [{"parts": [{"text": 5}]}]})

    assert (answer.status, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "contents[0].parts[0].text" in answer.json()["error"]["message"]


async def test_under_v1_and_without_a_version_it_is_the_same(worker):
    await worker.give(wallet=USD)

    for base in ("/v1", "", "/v1/v1beta", "/v1beta/v1beta"):
        answer = await worker.ask(f"POST {base}/models/{MODEL}:generateContent", ASK)
        assert answer.status == 200, base
        json.loads(answer.body)


async def test_openais_clients_may_use_googles_base(worker):
    await worker.give(wallet=USD)
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}

    answer = await worker.ask("POST /v1beta/openai/chat/completions", chat)

    assert answer.json()["object"] == "chat.completion"


async def test_googles_clients_get_their_shapes_under_v1_too(worker):
    named = {"more": ["x-goog-api-client: google-genai-sdk/3.6.1"]}

    listed = await worker.ask("GET /models?pageSize=1", **named)
    one = await worker.ask(f"GET /v1/models/{MODEL}", **named)
    refused = await worker.ask("GET /v1/models", key="sk-" + "x" * 48, **named)

    assert len(listed.json()["models"]) == 1
    assert one.json()["name"] == f"models/{MODEL}"
    assert refused.json()["error"]["status"] == "UNAUTHENTICATED"
    assert (await worker.ask("GET /v1/models")).json()["object"] == "list"
