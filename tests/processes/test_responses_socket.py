"""The Responses socket of a whole worker: keys, money, limits, from the wire to the books."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as dial

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from tests.factories.workers import MODEL, USD, open_worker
from tests.fakes.http_server import DEADLINE

PATH = "/v1/responses"
CODEX = "/api/v1/ai/openai/codex-omg/v1/responses"
ENDS = {"response.completed", "response.failed", "response.incomplete", "error"}


@pytest.fixture
async def worker(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(worker, path=PATH, key=None):
    headers = {"authorization": f"Bearer {key or worker.token}"}
    address = f"ws://127.0.0.1:{worker.port}{path}"
    async with connect(address, proxy=None, additional_headers=headers) as client:
        yield client


async def ask(client, **fields):
    """Make one response; return its events."""
    fields = {"type": "response.create", "model": MODEL, "max_output_tokens": 20, **fields}
    await client.send(json.dumps(fields))
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] not in ENDS:
        told.append(json.loads(await asyncio.wait_for(client.recv(), DEADLINE)))
    return told


async def test_each_response_is_held_and_charged_for_itself(worker):
    await worker.give(wallet=USD)
    async with opened(worker) as client:
        prepared = (await ask(client, input="hi", store=False, generate=False))[-1]["response"]
        first = (await ask(client, input="a", store=False, previous_response_id=prepared["id"]))[-1]
        await ask(client, input="b", store=False, previous_response_id=first["response"]["id"])

    second, earlier = await worker.posted()
    assert second.billing == ""
    assert second.paid == second.price > earlier.price > 0  # it has the history in it
    assert await worker.balances() == (USD - second.price - earlier.price, 0)


async def test_the_forwarding_service_bills_on_its_channel(worker):
    await worker.give(wallet=USD)
    async with opened(worker, CODEX) as client:
        assert (await ask(client, input="a"))[-1]["type"] == "response.completed"

    (call,) = await worker.posted()
    assert (call.billing, call.paid) == ("codex-omg", call.price)


async def test_out_of_balance_is_a_failed_response_and_nothing_is_charged(worker):
    async with opened(worker) as client:
        (failed,) = await ask(client, input="a")

    assert failed["type"] == "response.failed"
    assert failed["response"]["error"]["code"] == "insufficient_quota"
    assert await worker.posted() == []


async def test_a_revoked_key_closes_the_socket(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path, snapshot_poll_ms=10) as worker:
        async with transaction(worker.engine) as tx:
            new = NewKey(user_id=worker.user)
            made, token = await keys.create(tx, worker.pepper, new, known=(), now=0)
        async with opened(worker, key=token) as client:
            assert (await ask(client, input="a", generate=False))[-1]["type"] in ENDS - {"error"}
            async with transaction(worker.engine) as tx:
                await keys.delete(tx, made, now=1)

            async with asyncio.timeout(DEADLINE):
                told = await ask(client, input="b", generate=False)
                while told[-1]["type"] != "error":
                    told = await ask(client, input="b", generate=False)

            assert told[-1]["status"] == 401
            with pytest.raises(ConnectionClosed) as caught:
                await asyncio.wait_for(client.recv(), DEADLINE)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1008


async def test_a_model_the_key_may_not_use_is_refused_prepared_or_not(worker):
    async with transaction(worker.engine) as tx:
        new = NewKey(user_id=worker.user, permissions=frozenset({"gpt-4o"}))
        _, token = await keys.create(tx, worker.pepper, new, known=("gpt-4o",), now=0)
    async with opened(worker, key=token) as client:
        (asked,) = await ask(client, input="a")
        (prepared,) = await ask(client, input="a", generate=False)

    assert (asked["status"], prepared["status"]) == (403, 403)


async def test_a_client_that_leaves_at_once_is_charged_once(worker):
    await worker.give(wallet=USD)
    async with opened(worker) as client:
        fields = {"type": "response.create", "model": MODEL, "input": "a", "store": False}
        await client.send(json.dumps(fields))
        await asyncio.wait_for(client.recv(), DEADLINE)
    await worker.quiet()

    (call,) = await worker.posted()
    assert call.paid == call.price > 0


def test_when_the_gateway_ends_the_response_under_way_is_finished(new_gateway):
    gateway = new_gateway().start()
    address = gateway.base.replace("http://", "ws://") + PATH
    headers = {"authorization": f"Bearer {gateway.key}"}
    ask = {"type": "response.create", "model": "sandbox/slow", "input": "a b c", "store": False}
    with dial(address, proxy=None, additional_headers=headers) as client:
        client.send(json.dumps(ask))
        told = [json.loads(client.recv(DEADLINE))]

        os.kill(gateway.pid, signal.SIGTERM)
        while told[-1]["type"] not in ENDS:
            told.append(json.loads(client.recv(DEADLINE)))
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(DEADLINE)

    assert told[-1]["type"] == "response.completed"
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    assert gateway.stop() == 0


async def test_one_user_holds_so_many_sockets_open(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path, websockets_each=1) as worker:
        async with opened(worker):
            with pytest.raises(InvalidStatus) as caught:
                async with opened(worker):
                    pass
        await worker.emptied()
        async with opened(worker) as client:
            assert (await ask(client, input="a", generate=False))[-1]["type"] in ENDS - {"error"}

    assert caught.value.response.status_code == 429
    assert b"too_many_websockets" in caught.value.response.body


async def test_without_websockets_426_sends_agents_to_http(sqlite, tmp_path):
    async with open_worker(sqlite, tmp_path, websockets=False) as worker:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(worker):
                pass
        answer = await worker.ask(f"POST {PATH}", {"model": MODEL, "input": "a"})

    assert caught.value.response.status_code == 426
    assert answer.status != 426
