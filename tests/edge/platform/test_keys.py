"""Keys over the API: the exact fields, as JSON and as forms, and what nobody gets through."""

import re

import pytest
from sqlalchemy import text

from meterway.db.engine import reading
from meterway.limits.types import Kind
from tests.factories.platform import PEPPER

NEW = {"remark": "ci", "expired_at": "2100-01-01T00:00:00.000Z", "max_fee": "8217.00"}


async def listed(platform, person=None):
    answer = await platform.admin("get-api-tokens", key=(person or platform.ann).admin)
    assert answer.status == 200
    return answer.json()["data"]


async def budgets_of(platform):
    async with reading(platform.engine) as connection:
        found = await connection.execute(text("SELECT kind, owner, available FROM budgets"))
        return [tuple(row) for row in found]


async def create(platform, **fields):
    answer = await platform.admin("new-api-token", {**NEW, **fields})
    assert answer.status == 200, answer.body
    return answer.json()["data"]


async def test_a_key_is_made_and_is_the_data_of_the_envelope(both_platforms):
    platform = both_platforms

    answer = await platform.admin("new-api-token", {**NEW, "permissions": ["gpt-4o", "file-v1"]})

    body = answer.json()
    assert (answer.status, body["statusCode"], set(body)) == (
        200,
        200,
        {"statusCode", "message", "data"},
    )
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", body["data"])
    principal = await platform.auth.principal(body["data"])
    assert principal.user_id == platform.ann.id
    assert principal.permissions == {"gpt-4o", "file-v1"}
    assert (principal.is_admin, principal.capped) == (False, True)


async def test_a_key_is_listed_with_the_fields_of_the_contract(platform):
    token = await create(platform)

    [_, _, found] = await listed(platform)

    assert set(found) == {
        "id", "key", "user_id", "remark", "created_at", "used_at", "expired_at", "used_times",
        "used_fee", "max_fee", "permissions", "is_admin", "is_disabled",
    }  # fmt: skip
    assert found["key"] == f"{token[:5]}***{token[-4:]}"
    assert found["user_id"] == str(platform.ann.id)
    assert found["created_at"] == "2027-01-15T08:00:00.000Z"
    assert (found["remark"], found["expired_at"]) == ("ci", "2100-01-01T00:00:00.000Z")
    assert (found["max_fee"], found["used_fee"], found["used_times"]) == ("8217.00", "0.00", 0)
    assert (found["used_at"], found["permissions"]) == (None, [])
    assert (found["is_admin"], found["is_disabled"]) == (False, False)
    assert token[5:-4] not in str(found)


@pytest.mark.parametrize("path", ["new-api-token", "create-api-token"])
async def test_forms_make_the_same_key_as_json(platform, path):
    fields = {**NEW, "permissions": '["gpt-4o", "claude-opus"]', "is_admin": "false"}
    boundary = "--x\r\n"
    parts = "".join(
        f'{boundary}Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    multipart = ("content-type: multipart/form-data; boundary=x",)

    answers = [
        await platform.admin(path, {**NEW, "permissions": ["gpt-4o", "claude-opus"]}),
        await platform.admin(path, fields),
        await platform.admin(path, fields, form=True),
        await platform.admin(path, f"{parts}--x--\r\n".encode(), headers=multipart),
    ]

    assert [answer.status for answer in answers] == [200] * 4
    made = (await listed(platform))[2:]
    told = [{k: v for k, v in one.items() if k not in {"id", "key"}} for one in made]
    assert told == [told[0]] * 4
    assert told[0]["permissions"] == ["claude-opus", "gpt-4o"]


async def test_json_that_curl_calls_a_form_is_read_as_json(platform):
    body = b'{"expired_at": "2100-01-01", "max_fee": 0}'
    headers = ("content-type: application/x-www-form-urlencoded",)

    answer = await platform.admin("new-api-token", body, headers=headers)

    assert answer.status == 200


@pytest.mark.parametrize("max_fee", [0, "0", "0.00", 0.0])
async def test_a_bound_of_nothing_is_no_bound(platform, max_fee):
    await create(platform, max_fee=max_fee)

    assert (await listed(platform))[-1]["max_fee"] == "0.00"
    assert await budgets_of(platform) == []


async def test_a_bound_makes_a_budget_in_nano_dollars(platform):
    await create(platform, max_fee=1000.5)

    key_id = int((await listed(platform))[-1]["id"])
    assert await budgets_of(platform) == [("key", key_id, 4_002_000)]


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2099-12-31 23:59:59", "2099-12-31T15:59:59.000Z"),
        ("2099-12-31T23:59:59", "2099-12-31T15:59:59.000Z"),
        ("2099-12-31T23:59:59.5+02:00", "2099-12-31T21:59:59.500Z"),
    ],
)
async def test_a_time_without_a_zone_is_in_utc_plus_8(platform, moment, shown):
    await create(platform, expired_at=moment)

    assert (await listed(platform))[-1]["expired_at"] == shown


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_fee": "1"}, "expired_at"),
        ({"expired_at": None, "max_fee": "1"}, "expired_at"),
        ({"expired_at": "2100-01-01"}, "max_fee"),
        ({**NEW, "expired_at": "2020-01-01"}, "expired_at"),
        ({**NEW, "expired_at": "soon"}, "expired_at"),
        ({**NEW, "expired_at": ""}, "expired_at"),
        ({**NEW, "expired_at": 4102444800}, "expired_at"),
        ({**NEW, "expired_at": ["2100-01-01"]}, "expired_at"),
        ({**NEW, "expired_at": "9999-12-31T23:59:59-14:00"}, "expired_at"),
        ({**NEW, "max_fee": "-1"}, "max_fee"),
        ({**NEW, "max_fee": -1}, "max_fee"),
        ({**NEW, "max_fee": "NaN"}, "max_fee"),
        ({**NEW, "max_fee": "Infinity"}, "max_fee"),
        ({**NEW, "max_fee": "1e3"}, "max_fee"),
        ({**NEW, "max_fee": "1,000"}, "max_fee"),
        ({**NEW, "max_fee": " 1"}, "max_fee"),
        ({**NEW, "max_fee": "9" * 15}, "max_fee"),
        ({**NEW, "max_fee": "9" * 16}, "max_fee"),
        ({**NEW, "max_fee": 10**400}, "max_fee"),
        ({**NEW, "max_fee": True}, "max_fee"),
        ({**NEW, "max_fee": {}}, "max_fee"),
        ({**NEW, "max_fee": "0.000001"}, "max_fee"),
        ({**NEW, "max_fee": "0.001"}, "max_fee"),
        ({**NEW, "max_fee": "\u0661"}, "max_fee"),
        ({**NEW, "permissions": "gpt-4o"}, "permissions"),
        ({**NEW, "permissions": '"gpt-4o"'}, "permissions"),
        ({**NEW, "permissions": [1]}, "permissions"),
        ({**NEW, "permissions": {"gpt-4o": 1}}, "permissions"),
        ({**NEW, "permissions": ["gpt-9"]}, "permissions"),
        ({**NEW, "permissions": ["GPT-4O"]}, "permissions"),
        ({**NEW, "permissions": ["a\x00"]}, "permissions"),
        ({**NEW, "permissions": ["x"] * 1001}, "permissions"),
        ({**NEW, "remark": "x" * 256}, "remark"),
        ({**NEW, "remark": "a\x00b"}, "remark"),
        ({**NEW, "remark": ["a"]}, "remark"),
        ({**NEW, "remark": True}, "remark"),
        ({**NEW, "is_admin": "perhaps"}, "is_admin"),
    ],
)
async def test_what_cannot_be_is_400_and_names_the_field(both_platforms, fields, param):
    platform = both_platforms

    answer = await platform.admin("new-api-token", fields)

    body = answer.json()
    assert (answer.status, body["statusCode"], body["data"]) == (400, 400, None)
    assert param in body["message"]
    assert body["errorType"].endswith("_error")
    assert len(body["message"]) < 2000
    assert len(await listed(platform)) == 2


async def test_no_key_of_the_api_is_an_admin_key(platform):
    for yes in (True, "true", 1, "1"):
        answer = await platform.admin("new-api-token", {**NEW, "is_admin": yes})
        assert (answer.status, answer.json()["statusCode"]) == (403, 403)
        change = {"key": str(platform.ann.plain_id), "is_admin": yes}
        assert (await platform.admin("update-api-token", change)).status == 403
    demotion = {"key": str(platform.ann.admin_id), "is_admin": False}

    answer = await platform.admin("update-api-token", demotion)

    assert answer.status == 403
    assert [one["is_admin"] for one in await listed(platform)] == [True, False]


async def test_what_the_list_says_may_be_sent_back(platform):
    for found in await listed(platform):
        answer = await platform.admin("update-api-token", {**found, "key": found["id"]})

        assert answer.status == 200, answer.body
        assert answer.json()["data"] == found


async def test_a_change_leaves_what_it_does_not_name(both_platforms):
    platform = both_platforms
    token = await create(platform, permissions=["gpt-4o"])

    for change in ({"remark": "new"}, {"max_fee": "5.00"}, {"is_disabled": True}):
        answer = await platform.admin("update-api-token", {"key": token, **change})
        assert answer.status == 200

    data = answer.json()["data"]
    assert (data["remark"], data["max_fee"], data["is_disabled"]) == ("new", "5.00", True)
    assert (data["permissions"], data["expired_at"]) == (["gpt-4o"], "2100-01-01T00:00:00.000Z")
    assert [available for _, _, available in await budgets_of(platform)] == [20_000]


async def test_an_empty_list_lifts_the_limit_to_models(platform):
    token = await create(platform, permissions=["gpt-4o"])

    await platform.admin("update-api-token", {"key": token, "permissions": "[]"}, form=True)

    assert (await platform.auth.principal(token)).permissions is None


async def test_a_disabled_key_works_again_once_enabled(platform):
    token = await create(platform)
    seen = []
    for disabled in ("true", "false"):
        change = {"key": token, "is_disabled": disabled}
        await platform.admin("update-api-token", change, form=True)
        platform.auth.forget()
        answer = await platform.ask("GET /v1/dashboard/billing/subscription", token)
        seen.append(answer.status)

    assert seen == [401, 200]


@pytest.mark.parametrize("path", ["del-api-token", "delete-api-token"])
@pytest.mark.parametrize("by", ["text", "id", "number"])
async def test_a_deleted_key_is_gone(platform, path, by):
    token = await create(platform)
    key_id = (await listed(platform))[-1]["id"]
    name = {"text": token, "id": key_id, "number": int(key_id)}[by]

    answer = await platform.admin(path, {"key": name})
    again = await platform.admin(path, {"key": name})

    platform.auth.forget()
    use = await platform.ask("GET /v1/dashboard/billing/subscription", token)
    assert (answer.status, answer.json()["data"]) == (200, None)
    assert (again.status, use.status) == (404, 401)
    assert len(await listed(platform)) == 2


@pytest.mark.parametrize("name", ["update-api-token", "del-api-token"])
@pytest.mark.parametrize("key", [None, "", "nope", "0", "9" * 40, "sk-" + "a" * 48, "1 OR 1=1"])
async def test_a_key_that_is_not_there_is_400_or_404(both_platforms, name, key):
    answer = await both_platforms.admin(name, {"key": key, "remark": "x"})

    assert answer.status == (400 if key is None else 404)
    assert "key" in answer.json()["message"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("new-api-token", Kind.CREATE_KEY),
        ("create-api-token", Kind.CREATE_KEY),
        ("update-api-token", Kind.UPDATE_KEY),
        ("get-api-tokens", Kind.LIST_KEYS),
        ("del-api-token", Kind.DELETE_KEY),
        ("delete-api-token", Kind.DELETE_KEY),
    ],
)
async def test_every_endpoint_keeps_its_pace(platform, name, kind):
    platform.pace.refuses = True

    answer = await platform.admin(name, {**NEW, "key": platform.ann.plain})

    assert platform.pace.counted == [(kind, platform.ann.id)]
    assert (answer.status, answer.json()["errorType"]) == (429, "rate_limit_exceeded_error")
    assert answer.headers["retry-after"] == "1"


async def test_the_5001st_key_is_refused(platform, monkeypatch):
    monkeypatch.setattr("meterway.keys.service.KEYS_PER_USER", 3)
    await create(platform)

    answer = await platform.admin("new-api-token", NEW)

    assert (answer.status, answer.json()["errorType"]) == (400, "too_many_keys_error")
    assert PEPPER not in answer.body
