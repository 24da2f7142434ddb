"""The client leaves after any byte and any event of a stream: what was begun is charged once."""

import asyncio
import re

import pytest

from tests.factories.gateways import wait_for
from tests.faults.conftest import SHORT
from tests.faults.shop import MODEL, SLOW, Shop

_AT_ONCE = 24
_STEP = 11 if SHORT else 1
_ID = re.compile(rb"\r\nx-request-id: req_([0-9a-f]{16})\r\n")
_PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])


async def _whole(shop: Shop, model: str, path: str) -> bytes:
    """Return the bytes of one whole stream."""
    reader, writer = await shop.connect()
    writer.write(shop.request(stream=True, model=model, path=path))
    answer = await reader.read()
    writer.close()
    return answer


async def _leave_after_bytes(shop: Shop, path: str, count: int) -> bytes:
    """Call, read `count` bytes of the answer and leave; return them."""
    reader, writer = await shop.connect()
    writer.write(shop.request(stream=True, model=MODEL, path=path))
    try:
        return await reader.readexactly(count)
    finally:
        writer.transport.abort()


async def _leave_after_events(shop: Shop, path: str, count: int) -> int:
    """Call, read `count` events of a slow answer and leave; return the call's id."""
    reader, writer = await shop.connect()
    writer.write(shop.request(stream=True, model=SLOW, path=path))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        for _ in range(count):
            await reader.readuntil(b"\n\n")
        return _call_id(head)
    finally:
        writer.transport.abort()


def _call_id(head: bytes) -> int:
    found = _ID.search(head)
    assert found is not None, head
    return int(found[1], 16)


def _ended(shop: Shop) -> dict[int, dict[str, object]]:
    """Return what the log tells of every call that ended, by call id."""
    events = shop.gateway.events("call.ended")
    return {int(str(event["request_id"]).removeprefix("req_"), 16): event for event in events}


async def _settled(shop: Shop, calls: int) -> None:
    """Wait until `calls` calls have ended and their money is settled."""
    await asyncio.to_thread(wait_for, lambda: len(_ended(shop)) >= calls, f"{calls} calls to end")
    await asyncio.to_thread(shop.settled)


def _assert_sound(shop: Shop) -> None:
    assert shop.balance() == shop.available() == 100 * 10**9 - sum(shop.charged().values())
    shop.verify()


@_PATHS
async def test_leaving_after_any_byte_is_charged_once(open_shop, path):
    shop = open_shop("100", METERWAY_WORKERS="2")
    shop.gateway.start()
    answer = await _whole(shop, MODEL, path)
    places = [*range(1, len(answer), _STEP), len(answer)]
    turn = asyncio.Semaphore(_AT_ONCE)

    async def leave(count: int) -> bytes:
        async with turn:
            return await _leave_after_bytes(shop, path, count)

    begun = await asyncio.gather(*[leave(count) for count in places])
    await _settled(shop, len(places) + 1)
    charged = shop.charged()
    named = {_call_id(read) for read in begun if _ID.search(read)}

    assert len(charged) == len(places) + 1
    assert charged.keys() == _ended(shop).keys()
    assert named <= charged.keys()
    _assert_sound(shop)


@_PATHS
@pytest.mark.parametrize(("drain", "policy"), [("30", "drained"), ("0.001", "cut")])
async def test_leaving_after_any_event_is_charged_by_what_the_upstream_did(
    open_shop, path, drain, policy
):
    shop = open_shop("100", METERWAY_DRAIN=drain, METERWAY_WORKERS="2")
    shop.gateway.start()
    events = (await _whole(shop, SLOW, path)).count(b"\n\n")

    calls = await asyncio.gather(
        *[_leave_after_events(shop, path, count) for count in range(events)]
    )
    await _settled(shop, events + 1)
    charged = shop.charged()
    receipts = [await asyncio.to_thread(shop.receipt, call) for call in calls]
    policies = [receipt["policy"] for receipt in receipts]

    assert events > 4
    assert set(calls) < charged.keys()
    assert len(charged) == events + 1
    assert set(policies[:-2]) == {policy}  # the last events come together, with the end
    assert set(policies[-2:]) <= {policy, "drained", None}
    assert all(receipt["usage"]["input"] > 0 for receipt in receipts)
    _assert_sound(shop)


@_PATHS
async def test_leaving_before_the_request_is_whole_costs_nothing(open_shop, path):
    shop = open_shop("100")
    shop.gateway.start()
    request = shop.request(stream=True, path=path)
    for count in range(0, len(request), 7 * _STEP):
        _, writer = await shop.connect()
        writer.write(request[:count])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    answer = await _whole(shop, MODEL, path)
    await _settled(shop, 1)

    assert shop.charged().keys() == {_call_id(answer)} == _ended(shop).keys()
    _assert_sound(shop)


@_PATHS
async def test_leaving_before_the_answer_is_charged_where_the_upstream_worked(open_shop, path):
    shop = open_shop("100", METERWAY_DRAIN="0.001")
    shop.gateway.start()
    for _ in range(20):
        _, writer = await shop.connect()
        writer.write(shop.request(stream=True, model=SLOW, path=path))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    last = _call_id(await _whole(shop, MODEL, path))
    await _settled(shop, 1)

    def worked() -> set[int]:
        return {call for call, event in _ended(shop).items() if event["attempts"]}

    await asyncio.to_thread(wait_for, lambda: shop.charged().keys() == worked(), "all charges")

    assert last in worked()
    assert {event["outcome"] for event in _ended(shop).values()} <= {"client_gone", "completed"}
    _assert_sound(shop)
