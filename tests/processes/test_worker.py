"""A whole worker: purchases that are repeated, and replies that wait for the disk."""

import pytest

from tests.factories.workers import MODEL, USD, open_worker

BUY = "POST /api/v1/user/membership/buy"
CHAT = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


async def test_a_repeated_purchase_is_one(engine, tmp_path):
    async with open_worker(engine, tmp_path, membership_prices={"VIP": "10"}) as worker:
        await worker.give(wallet=25 * USD)
        asked = {"tier": "VIP"}

        first, again = [
            await worker.ask(BUY, asked, more=("idempotency-key: buy-1",)) for _ in range(2)
        ]
        other = await worker.ask(BUY, {"tier": "PREMIUM"}, more=("idempotency-key: buy-2",))

        assert (first.status, again.status) == (200, 200)
        assert again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"
        assert (await worker.balances())[0] == 15 * USD
        assert other.status in {400, 429}


@pytest.mark.parametrize("stream", [False, True])
async def test_with_journal_sync_always_calls_are_served_and_charged(sqlite, tmp_path, stream):
    async with open_worker(sqlite, tmp_path, journal_sync="always") as worker:
        await worker.give(wallet=USD)

        answer = await worker.ask("POST /v1/chat/completions", {**CHAT, "stream": stream})

        (call,) = await worker.posted()
        assert answer.status == 200
        assert call.paid == call.price > 0
