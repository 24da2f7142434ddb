"""The legacy routes of a whole worker: who may, what is answered, and what is paid."""

import json
from typing import Any

import pytest

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from tests.factories.workers import MODEL, OTHER, USD, open_worker

COMPLETIONS, COMPLETE = "POST /v1/completions", "POST /v1/complete"
TEXT = {"model": MODEL, "prompt": "Say hi"}
TURNS = {"model": MODEL, "prompt": "\n\nHuman: Say hi\n\nAssistant:", "max_tokens_to_sample": 99}
ROUTES: list[tuple[str, dict[str, Any]]] = [(COMPLETIONS, TEXT), (COMPLETE, TURNS)]


@pytest.fixture
async def worker(engine, tmp_path):
    async with open_worker(engine, tmp_path) as made:
        yield made


def data_of(body: bytes):
    """Return what the events of a chunked body say."""
    found = [line[6:].strip() for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(data) for data in found]


async def key_for(worker, **facts) -> str:
    async with transaction(worker.engine) as tx:
        _, token = await keys.create(
            tx, worker.pepper, NewKey(user_id=worker.user, **facts), known={MODEL, OTHER}, now=0
        )
    return token


async def test_a_stranger_is_401_and_errors_are_the_vendors(worker):
    texts = await worker.ask(COMPLETIONS, TEXT, key="sk-" + "x" * 48)
    turns = await worker.ask(COMPLETE, TURNS, key="sk-" + "x" * 48)

    assert (texts.status, texts.json()["error"]["code"]) == (401, "invalid_api_key")
    assert (turns.status, turns.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize(("route", "ask"), ROUTES)
async def test_a_key_may_use_its_own_models_alone(worker, route, ask):
    await worker.give(wallet=USD)
    token = await key_for(worker, permissions=frozenset({OTHER}))

    refused = await worker.ask(route, ask, key=token)
    unknown = await worker.ask(route, {**ask, "model": "nope"})

    assert (refused.status, unknown.status) == (403, 404)


async def test_without_money_each_dialect_says_so_in_its_way(worker):
    texts, turns = await worker.ask(COMPLETIONS, TEXT), await worker.ask(COMPLETE, TURNS)

    assert (texts.status, texts.json()["error"]["type"]) == (429, "insufficient_quota")
    assert (turns.status, turns.json()["error"]["type"]) == (402, "billing_error")


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1", "/v1/v1"])
async def test_a_text_completion_is_answered_and_charged_once(worker, prefix):
    await worker.give(wallet=USD)

    answer = await worker.ask(f"POST {prefix}/completions", TEXT)

    (choice,) = answer.json()["choices"]
    (call,) = await worker.posted()
    assert choice == {
        "text": "[sandbox] Say hi",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert answer.json()["id"].startswith("cmpl-")
    assert answer.json()["model"] == MODEL
    assert call.receipt.dialect == "openai_completions"
    assert call.paid == call.price > 0


@pytest.mark.parametrize("prefix", ["/v1", "", "/anthropic/v1"])
async def test_turns_are_answered_and_charged_once(worker, prefix):
    await worker.give(wallet=USD)

    answer = await worker.ask(f"POST {prefix}/complete", TURNS)

    (call,) = await worker.posted()
    body = answer.json()
    assert (body["completion"], body["stop_reason"]) == ("[sandbox] Say hi", "stop_sequence")
    assert (body["stop"], body["log_id"]) == ("\n\nHuman:", body["id"])
    assert "request-id" in answer.headers
    assert call.receipt.dialect == "anthropic_complete"
    assert call.paid == call.price > 0


async def test_streams_say_what_whole_replies_say(worker):
    await worker.give(wallet=USD)

    texts = await worker.ask(
        COMPLETIONS, {**TEXT, "stream": True, "stream_options": {"include_usage": True}}
    )
    turns = await worker.ask(COMPLETE, {**TURNS, "stream": True})

    *chunks, last = data_of(texts.body)
    assert "".join(c["choices"][0]["text"] for c in chunks) == "[sandbox] Say hi"
    assert last["usage"]["total_tokens"] > 0
    assert b"data: [DONE]\n\n" in texts.body
    ping, *events = data_of(turns.body)
    assert ping == {"type": "ping"}
    assert "".join(event["completion"] for event in events) == "[sandbox] Say hi"
    assert events[-1]["stop_reason"] == "stop_sequence"
    assert len(await worker.posted()) == 2


async def test_an_echo_has_the_prompt_first_and_choices_are_numbered(worker):
    await worker.give(wallet=USD)

    answer = await worker.ask(COMPLETIONS, {**TEXT, "echo": True, "n": 2, "logprobs": 1})

    choices = answer.json()["choices"]
    assert [(one["index"], one["text"]) for one in choices] == [
        (0, "Say hi[sandbox] Say hi"),
        (1, "Say hi[sandbox] Say hi"),
    ]
    assert choices[0]["logprobs"]["text_offset"][0] == len("Say hi")
    assert "".join(choices[0]["logprobs"]["tokens"]) == "[sandbox] Say hi"


@pytest.mark.parametrize(("stop", "text"), [("hi", "[sandbox] Say "), (None, "[sandbox] Say hi")])
async def test_a_stop_sequence_stops(worker, stop, text):
    await worker.give(wallet=USD)

    texts = await worker.ask(COMPLETIONS, {**TEXT, "stop": stop})
    turns = await worker.ask(COMPLETE, {**TURNS, "stop_sequences": [stop] if stop else None})

    assert texts.json()["choices"][0]["text"] == text
    assert (turns.json()["completion"], turns.json()["stop"]) == (text, stop or "\n\nHuman:")


async def test_sixteen_tokens_are_the_usual_limit(worker):
    await worker.give(wallet=USD)

    answer = await worker.ask(COMPLETIONS, {**TEXT, "prompt": "word " * 100})

    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["usage"]["completion_tokens"] <= 16


async def test_a_limit_beyond_every_model_is_tolerated(worker):
    await worker.give(wallet=USD)

    answer = await worker.ask(COMPLETE, {**TURNS, "max_tokens_to_sample": 1_000_000_000})

    assert answer.json()["completion"] == "[sandbox] Say hi"


async def test_the_model_of_a_key_answers_who_names_none(worker):
    await worker.give(wallet=USD)
    token = await key_for(worker, default_model=MODEL)

    answers = [
        await worker.ask(route, {k: v for k, v in ask.items() if k != "model"}, key=token)
        for route, ask in ROUTES
    ]

    assert [one.json()["model"] for one in answers] == [MODEL, MODEL]


@pytest.mark.parametrize(("route", "ask"), ROUTES)
async def test_a_marked_request_runs_once(worker, route, ask):
    await worker.give(wallet=USD)

    first = await worker.ask(route, ask, more=["idempotency-key: once"])
    again = await worker.ask(route, ask, more=["idempotency-key: once"])

    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert len(await worker.posted()) == 1


async def test_refusals_name_the_field_and_cost_nothing(worker):
    await worker.give(wallet=USD)

    several = await worker.ask(COMPLETIONS, {**TEXT, "prompt": ["a", "b"]})
    plain = await worker.ask(COMPLETE, {**TURNS, "prompt": "Say hi"})
    newer = await worker.ask(COMPLETE, TURNS, more=["anthropic-version: 2026-10-21"])

    assert [one.status for one in (several, plain, newer)] == [400, 400, 400]
    assert several.json()["error"]["param"] == "prompt"
    assert plain.json()["error"] == {
        "type": "invalid_request_error",
        "message": 'prompt must start with "\n\nHuman:" turn after an optional system prompt',
    }
    assert "2023-06-01" in newer.json()["error"]["message"]
    assert await worker.posted() == []
