"""Receipts: the whole story of a price, to those whose call it was."""

import pytest

from meterway.kit.ids import request_id
from tests.factories.platform import Charge

CALL = 0x17A_0000_0000_0001
PATH = "GET /api/v1/user/receipts/"
TOLD = {
    "at": "2027-01-15T08:00:00.500Z",
    "model": "gpt-4o",
    "input_tokens": 14,
    "output_tokens": 7,
    "fee": "3086.42",
    "fee_usd": "0.012345678",
    "outcome": "done",
    "dialect": "openai_chat",
    "stream": True,
    "seconds": 1.5,
    "first_byte_seconds": 0.25,
    "usage": {
        "input": 10,
        "cache_read": 4,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "input_audio": 0,
        "input_image": 0,
        "output": 5,
        "reasoning": 2,
        "output_audio": 0,
    },
    "usage_source": "reported",
    "policy": None,
    "error": None,
    "price_id": "12",
    "service": None,
    "multipliers": {"tier": "0.9"},
    "hold_usd": "0.005",
    "paid_by_usd": {
        "free": "0.000345678",
        "paid": "0.012",
        "credit": "0.00",
        "due": "0.00",
        "overrun": "0.00",
    },
    "attempts": [{"status": 500, "error": "upstream_failed"}, {"status": 200, "error": None}],
}


@pytest.fixture
def charge(platform):
    made = Charge(
        call_id=CALL,
        user_id=platform.ann.id,
        key_id=platform.ann.plain_id,
        price=12_345_678,
        free=345_678,
        paid=12_000_000,
    )
    platform.ledger.charges = [made]
    return made


async def test_a_receipt_tells_how_the_price_came_about(platform, charge):
    answer = await platform.ask(PATH + request_id(CALL), platform.ann.plain)

    assert answer.status == 200
    assert answer.json()["data"] == {
        "id": request_id(CALL),
        "key_id": str(platform.ann.plain_id),
        **TOLD,
    }


@pytest.mark.parametrize("form", [request_id(CALL), str(CALL)])
async def test_a_call_is_named_as_headers_or_numbers_name_it(platform, charge, form):
    assert (await platform.ask(PATH + form, platform.ann.admin)).status == 200


@pytest.mark.parametrize(
    "name",
    [
        request_id(CALL + 1),
        "req_",
        "req_017A000000000001",
        "req_ffffffffffffffff",
        "9" * 19,
        "9" * 99,
        "-1",
        "nope",
        "%27%20OR%201=1",
        "../admin/balance",
    ],
)
async def test_a_call_that_is_not_there_is_404(platform, charge, name):
    answer = await platform.ask(PATH + name, platform.ann.admin)

    assert (answer.status, answer.json()["errorType"]) == (404, "receipt_not_found_error")


async def test_a_key_sees_its_own_calls_and_an_admin_key_those_of_its_user(platform, charge):
    _, sibling = await platform.new_key(platform.ann.id)
    keys = (platform.ann.plain, platform.ann.admin, sibling, platform.bob.admin)

    seen = [(await platform.ask(PATH + request_id(CALL), key)).status for key in keys]

    assert seen == [200, 200, 404, 404]


async def test_what_a_call_cost_the_house_is_for_the_house(platform, charge):
    operator = await platform.new_person(is_admin=True)
    platform.ledger.charges.append(
        Charge(call_id=CALL + 5, user_id=operator.id, key_id=operator.plain_id)
    )

    customer = await platform.ask(PATH + request_id(CALL), platform.ann.admin)
    plain = await platform.ask(PATH + request_id(CALL + 5), operator.plain)
    inside = await platform.ask(PATH + request_id(CALL + 5), operator.admin)

    for answer in (customer, plain):
        assert answer.status == 200
        assert b"channel" not in answer.body
        assert b"cost" not in answer.body
    told = inside.json()["data"]
    assert told["cost_usd"] == "0.0007"
    assert told["attempts"][1] == {
        "status": 200,
        "error": None,
        "channel": "main",
        "cost_usd": "0.0007",
    }
