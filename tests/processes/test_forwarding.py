"""The forwarding services of a whole worker: who pays what, from a request to the books."""

import pytest

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from meterway.kit.ids import request_id
from tests.factories.workers import MODEL, OTHER, USD, open_worker

CC, CODEX = "/api/v1/ai/openai/cc-omg", "/api/v1/ai/openai/codex-omg"
CHAT = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
CHATTED, SAID, COUNTED = (
    f"POST {CC}/v1/chat/completions",
    f"POST {CC}/v1/messages",
    f"POST {CC}/v1/messages/count_tokens",
)


@pytest.fixture
async def worker(engine, tmp_path):
    async with open_worker(engine, tmp_path) as made:
        yield made


async def test_a_credit_pays_at_the_services_own_multiplier_and_the_wallet_stays(worker):
    await worker.give(wallet=USD, credit=USD)

    chatted = await worker.ask(CHATTED, CHAT)
    said = await worker.ask(SAID, CHAT)
    usual = await worker.ask("POST /v1/chat/completions", CHAT)

    assert [one.status for one in (chatted, said, usual)] == [200, 200, 200]
    last, second, first = await worker.posted()
    assert (first.billing, second.billing, last.billing) == ("cc-omg", "cc-omg", "")
    assert first.credit == first.price == last.price // 2 > 0
    assert (last.paid, last.credit) == (last.price, 0)
    assert first.receipt.multipliers == {"billing": 500_000}
    assert await worker.balances() == (USD - last.price, USD - first.price - second.price)
    assert chatted.headers["x-meterway-receipt"] == request_id(first.call_id)


async def test_a_credit_that_does_not_cover_a_call_leaves_it_to_the_wallet(worker):
    await worker.give(wallet=USD, credit=100)

    answer = await worker.ask(CHATTED, CHAT)

    (call,) = await worker.posted()
    assert answer.status == 200
    assert (call.billing, call.paid, call.credit) == ("cc-omg", call.price, 0)


async def test_the_credit_of_one_service_pays_nothing_elsewhere(worker):
    await worker.give(credit=USD, billing="codex-omg")

    forwarded = await worker.ask(CHATTED, CHAT)
    usual = await worker.ask("POST /v1/messages", CHAT)

    assert (forwarded.status, usual.status) == (429, 402)
    assert await worker.posted() == []


async def test_refusals_are_the_vendors(worker):
    chatted = await worker.ask(CHATTED, CHAT)
    said = await worker.ask(SAID, CHAT)
    unknown = await worker.ask(SAID, {**CHAT, "model": "nope"})
    keyless = [
        await worker.ask(request, CHAT, key="sk-" + "x" * 48)
        for request in (CHATTED, SAID, COUNTED, f"GET {CC}/models", f"GET {CODEX}/v1/models")
    ]
    coded = await worker.ask(f"POST {CODEX}/v1/responses", {**CHAT, "input": "Hi"})

    assert (chatted.status, chatted.json()["error"]["type"]) == (429, "insufficient_quota")
    assert (said.status, said.json()["error"]["type"]) == (402, "billing_error")
    assert said.headers["x-should-retry"] == "false"
    assert unknown.json()["error"] == {"type": "not_found_error", "message": "model: nope"}
    assert [one.status for one in keyless] == [401] * 5
    assert keyless[0].json()["error"]["code"] == "invalid_api_key"
    assert keyless[1].json()["error"]["type"] == "authentication_error"
    assert (coded.status, coded.json()["error"]["type"]) == (429, "insufficient_quota")


async def test_counting_costs_nothing_and_leaves_nothing(worker):
    answer = await worker.ask(COUNTED, CHAT)

    assert (answer.status, list(answer.json())) == (200, ["input_tokens"])
    assert await worker.posted() == []


@pytest.mark.parametrize(
    "auth",
    [
        "authorization: Bearer {}",
        "authorization: {}",
        "x-api-key: {}",
        "api-key: {}",
        "x-goog-api-key: {}",
    ],
)
async def test_every_form_of_authentication_works(worker, auth):
    models = await worker.ask(f"GET {CC}/models", auth=auth)
    again = await worker.ask(f"GET {CODEX}/v1/models", auth=auth)
    counted = await worker.ask(COUNTED, CHAT, auth=auth)

    assert [one.status for one in (models, again, counted)] == [200] * 3
    assert MODEL in [one["id"] for one in models.json()["data"]]


async def test_a_stream_is_paid_by_the_credit_too(worker):
    await worker.give(credit=USD)

    answer = await worker.ask(SAID, {**CHAT, "stream": True})

    (call,) = await worker.posted()
    assert b"event: message_stop" in answer.body
    assert (call.receipt.stream, call.credit) == (True, call.price)


async def test_a_key_may_do_no_more_than_elsewhere(worker):
    await worker.give(credit=USD)
    async with transaction(worker.engine) as tx:
        new = NewKey(user_id=worker.user, permissions=frozenset({OTHER}))
        _, token = await keys.create(tx, worker.pepper, new, known={OTHER}, now=0)

    answers = [await worker.ask(request, CHAT, key=token) for request in (CHATTED, SAID, COUNTED)]

    assert [one.status for one in answers] == [403] * 3
    assert answers[1].json()["error"]["type"] == "permission_error"
