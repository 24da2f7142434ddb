"""A thousand calls at once on a balance for k of them: exactly k are admitted."""

import asyncio
import json
from collections import Counter
from decimal import Decimal

import pytest

from tests.fakes.upstream_server import UpstreamServer, reply
from tests.faults.shop import Shop, Sold

_CALLS, _K = 1000, 37
_MODEL = "withheld"
_REPLY = reply(
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": _MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "At last."},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        }
    ).encode()
)


async def _shop_before(server: UpstreamServer, open_shop, workers: int) -> Shop:
    shop: Shop = await asyncio.to_thread(
        open_shop, "1", METERWAY_WORKERS=str(workers), METERWAY_FIRST_BYTE_TIMEOUT="300"
    )
    base = f"http://127.0.0.1:{server.port}/v1"
    add = ("channel", "add", "--provider", "openai-compatible", "--name", "withheld")
    shop.gateway.run(*add, "--base-url", base, "--api-key", "x", "--models", _MODEL)
    shop.offer(_MODEL)
    await asyncio.to_thread(shop.gateway.start)
    return shop


async def _hold_of_one_call(shop: Shop) -> Decimal:
    """Return what a call holds, in dollars, having made one on a rich customer's account."""
    sold = Sold()
    assert await shop.call(sold, stream=False, model=_MODEL) == 200
    await asyncio.to_thread(shop.settled)
    (call,) = sold.ended
    receipt = await asyncio.to_thread(shop.receipt, call)
    return Decimal(receipt["hold_usd"])


@pytest.mark.parametrize("workers", [1, 4])
async def test_exactly_as_many_are_admitted_as_the_balance_covers(open_shop, workers):
    withheld = asyncio.Event()
    async with UpstreamServer() as server:
        server.always(_REPLY)
        shop = await _shop_before(server, open_shop, workers)
        hold = await _hold_of_one_call(shop)
        spent_before = shop.charged()
        key = shop.new_buyer(str(hold * (_K + 1) - Decimal("1e-9")))
        server.requests.clear()
        server.always(withheld, _REPLY)
        sold = Sold()
        before = shop.balance()

        calls = [
            asyncio.create_task(shop.call(sold, stream=False, model=_MODEL, key=key))
            for _ in range(_CALLS)
        ]
        async with asyncio.timeout(120):
            while sold.refused.total() + len(server.requests) < _CALLS:
                await asyncio.sleep(0.02)
                assert shop.available() >= 0
        admitted = len(server.requests)
        withheld.set()
        answers = await asyncio.gather(*calls)

    await asyncio.to_thread(shop.settled)
    new = shop.charged().keys() - spent_before.keys()
    refusal = await asyncio.to_thread(shop.gateway.chat, _MODEL, "too much " * 1000, key)

    assert admitted == _K
    assert Counter(answers) == {200: _K, 429: _CALLS - _K}
    assert (refusal.status, refusal.body["error"]["type"]) == (429, "insufficient_quota")
    assert sold.ended == new
    assert shop.balance() == before - sum(shop.charged()[call] for call in new)
    assert shop.available() == shop.balance()
    await asyncio.to_thread(shop.verify)
