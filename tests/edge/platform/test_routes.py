"""Every endpoint that needs a key first shows: anonymous 401, other owner 404, no permission 403.

A route that stands in none of the tables below fails the suite.
"""

import pytest

from meterway.kit.ids import request_id
from tests.factories.platform import Charge

ADMIN = "/api/v1/user/admin/"
FOR_ADMIN_KEYS = {
    f"POST {ADMIN}new-api-token",
    f"POST {ADMIN}create-api-token",
    f"POST {ADMIN}update-api-token",
    f"POST {ADMIN}get-api-tokens",
    f"POST {ADMIN}del-api-token",
    f"POST {ADMIN}delete-api-token",
    f"POST {ADMIN}balance",
    f"POST {ADMIN}get-membership-expire-date",
    "POST /api/v1/user/usage/summary",
    "POST /api/v1/user/membership/buy",
    "POST /api/v1/user/redeem",
}
FOR_ANY_KEY = {
    "GET /api/v1/user/receipts/{call}": "the caller's own calls",
    "POST /api/v1/user/usage/list": "the caller's own calls",
    "GET /api/v1/user/usage/export": "the caller's own calls",
    "GET /v1/dashboard/billing/subscription": "chat programs have ordinary keys",
    "GET /v1/dashboard/billing/usage": "chat programs have ordinary keys",
}
CALL = 77
NAME_BOBS = {
    f"POST {ADMIN}update-api-token": lambda bob: {"key": bob.plain, "remark": "mine"},
    f"POST {ADMIN}del-api-token": lambda bob: {"key": str(bob.plain_id)},
    f"POST {ADMIN}delete-api-token": lambda bob: {"key": bob.admin},
    "POST /api/v1/user/usage/list": lambda bob: {"key": str(bob.plain_id)},
    "GET /api/v1/user/usage/export": lambda bob: f"?key={bob.plain_id}",
    "GET /api/v1/user/receipts/{call}": lambda bob: request_id(CALL),
}
NAME_NOTHING = {
    f"POST {ADMIN}new-api-token": "makes a key for the caller",
    f"POST {ADMIN}create-api-token": "makes a key for the caller",
    f"POST {ADMIN}get-api-tokens": "lists the caller's",
    f"POST {ADMIN}balance": "is the caller's",
    f"POST {ADMIN}get-membership-expire-date": "is the caller's",
    "POST /api/v1/user/usage/summary": "sums the caller's",
    "POST /api/v1/user/membership/buy": "is for the caller",
    "POST /api/v1/user/redeem": "codes are nobody's until they are used",
    "GET /v1/dashboard/billing/subscription": "is the caller's",
    "GET /v1/dashboard/billing/usage": "is the caller's",
}


def _name(route):
    return f"{route.method} {route.path}"


async def _asked(platform, name, named, key):
    """Ask with the body `named`, or with the end of the path."""
    if isinstance(named, dict):
        return await platform.ask(name, key, named)
    return await platform.ask(name.replace("{call}", "") + named, key)


async def test_every_route_says_who_may_and_what_it_names(platform):
    routes = {_name(route) for route in platform.routes}

    assert routes == FOR_ADMIN_KEYS | FOR_ANY_KEY.keys()
    assert routes == NAME_BOBS.keys() | NAME_NOTHING.keys()
    assert not FOR_ADMIN_KEYS & FOR_ANY_KEY.keys()
    assert not NAME_BOBS.keys() & NAME_NOTHING.keys()


@pytest.mark.parametrize("key", [None, "sk-" + "x" * 48, "not-a-key"])
async def test_nobody_gets_in_without_a_key(platform, key):
    for route in platform.routes:
        answer = await platform.ask(_name(route).replace("{call}", "req_0"), key)

        assert answer.status == 401, route.path
        body = answer.json()
        if route.path.startswith("/api/"):
            assert (body["statusCode"], body["errorType"]) == (401, "invalid_api_key_error")
            assert body["data"] is None
        else:
            assert body["error"]["code"] == "invalid_api_key"
        assert "x" * 9 not in str(body)


async def test_an_ordinary_key_may_not_administer(platform):
    for name in FOR_ADMIN_KEYS:
        answer = await platform.ask(name, platform.ann.plain, {"key": platform.ann.plain})

        assert answer.status == 403, name
        assert answer.json()["errorType"] == "admin_key_required_error"
    assert platform.pace.counted == []


async def test_what_is_somebody_elses_is_not_there(platform):
    platform.ledger.charges = [Charge(call_id=CALL, user_id=platform.bob.id, key_id=1)]

    for name, naming in NAME_BOBS.items():
        answer = await _asked(platform, name, naming(platform.bob), platform.ann.admin)

        assert answer.status == 404, name
        assert answer.json()["statusCode"] == 404
    assert (await platform.admin("get-api-tokens", key=platform.bob.admin)).status == 200


async def test_what_is_ones_own_is_there(platform):
    platform.ledger.charges = [Charge(call_id=CALL, user_id=platform.bob.id, key_id=1)]

    for name, naming in NAME_BOBS.items():
        answer = await _asked(platform, name, naming(platform.bob), platform.bob.admin)

        assert answer.status == 200, name


async def test_a_wrong_method_is_405_in_the_envelope(platform):
    answer = await platform.ask(f"GET {ADMIN}balance", platform.ann.admin)

    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["statusCode"] == 405
