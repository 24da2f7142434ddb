"""The usage log in pages, its sums, and its export."""

import asyncio
import csv
import io

import pytest

from meterway.db.engine import transaction
from meterway.edge.platform.usage import csv_lines
from meterway.keys import service as keys
from meterway.kit.ids import request_id
from meterway.ledger.charges.types import Filters
from meterway.limits.types import Kind
from tests.factories.platform import Charge, Sum
from tests.fakes.http_server import DEADLINE

LIST, SUMMARY = "POST /api/v1/user/usage/list", "POST /api/v1/user/usage/summary"
EXPORT = "GET /api/v1/user/usage/export"


def charges(platform, count, **facts):
    made = [
        Charge(call_id=1000 + i, user_id=platform.ann.id, key_id=platform.ann.plain_id, **facts)
        for i in range(count)
    ]
    platform.ledger.charges += made
    return [request_id(one.call_id) for one in reversed(made)]


async def listed(platform, key=None, **fields):
    answer = await platform.ask(LIST, key or platform.ann.admin, fields)
    assert answer.status == 200, answer.body
    return answer.json()["data"]


# -- pages ---------------------------------------------------------------------------------------


async def test_a_line_of_the_log_is_small_and_has_its_price(platform):
    [call] = charges(platform, 1, price=4_000)

    page = await listed(platform)

    assert page == {
        "calls": [
            {
                "id": call,
                "at": "2027-01-15T08:00:00.500Z",
                "key_id": str(platform.ann.plain_id),
                "model": "gpt-4o",
                "input_tokens": 14,
                "output_tokens": 7,
                "fee": "1.00",
                "fee_usd": "0.000004",
                "outcome": "done",
            }
        ],
        "next_before": None,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_following_the_pages_visits_each_call_once_newest_first(platform, limit):
    made = charges(platform, 7)
    seen, before = [], None
    while True:
        page = await listed(platform, limit=limit, before=before)
        seen += [call["id"] for call in page["calls"]]
        before = page["next_before"]
        if before is None:
            break
        platform.ledger.charges.append(  # a call that ends meanwhile is on no page to come
            Charge(call_id=9000 + len(seen), user_id=platform.ann.id, key_id=1)
        )

    assert seen == made


async def test_a_call_is_asked_for_by_model_key_and_time(platform):
    charges(platform, 2)
    key = platform.ann.plain

    await listed(
        platform, model="gpt-4o", key=key, **{"from": "1970-01-01T00:00:10Z", "to": "1970-01-02"}
    )

    [(before, limit, filters)] = platform.ledger.asked
    assert (before, limit) == (None, 51)
    assert filters == Filters(
        model="gpt-4o", key_id=platform.ann.plain_id, since=10.0, until=57_600.0
    )


async def test_calls_of_a_deleted_key_stay_in_the_log(platform):
    charges(platform, 2)
    async with transaction(platform.engine) as tx:
        await keys.delete(tx, platform.ann.plain_id, now=1.0)

    page = await listed(platform, key=platform.ann.admin)
    named = await platform.ask(LIST, platform.ann.admin, {"key": str(platform.ann.plain_id)})

    assert len(page["calls"]) == len(named.json()["data"]["calls"]) == 2


async def test_a_key_sees_its_own_calls_alone(platform):
    charges(platform, 2)
    sibling_id, sibling = await platform.new_key(platform.ann.id)

    own = await listed(platform, key=sibling)
    spying = await platform.ask(LIST, sibling, {"key": str(platform.ann.plain_id)})
    itself = await platform.ask(LIST, sibling, {"key": str(sibling_id)})

    assert (own["calls"], spying.status, itself.status) == ([], 404, 200)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"before": "yesterday"}, "before"),
        ({"before": "9" * 19}, "before"),
        ({"from": "soon"}, "from"),
        ({"to": 5}, "to"),
        ({"model": ["gpt-4o"]}, "model"),
    ],
)
async def test_a_page_that_cannot_be_is_400_and_names_the_field(platform, fields, param):
    answer = await platform.ask(LIST, platform.ann.admin, fields)

    assert answer.status == 400
    assert f"`{param}`" in answer.json()["message"]


# -- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "sums", "names"),
    [
        ("day", [Sum(of=20_453), Sum(of=20_454)], [{"day": "2025-12-31"}, {"day": "2026-01-01"}]),
        ("model", [Sum(of="a"), Sum(of="b")], [{"model": "a"}, {"model": "b"}]),
        ("key", [Sum(of=3), Sum(of=4)], [{"key_id": "3"}, {"key_id": "4"}]),
    ],
)
async def test_sums_are_told_by_day_model_or_key(platform, by, sums, names):
    platform.ledger.sums = sums

    answer = await platform.ask(
        SUMMARY,
        platform.ann.admin,
        {"by": by, "from": "2025-12-31", "to": "2026-01-01T12:00:00Z"},
    )

    figures = {
        "calls": 1,
        "input_tokens": 10,
        "output_tokens": 5,
        "fee": "250.00",
        "fee_usd": "0.001",
    }
    assert answer.json()["data"] == {
        "by": by,
        "rows": [name | figures for name in names],
        "total": {
            "calls": 2,
            "input_tokens": 20,
            "output_tokens": 10,
            "fee": "500.00",
            "fee_usd": "0.002",
        },
    }
    assert platform.ledger.asked == [(platform.ann.id, by, 20_453, 20_455)]


async def test_small_prices_are_summed_before_they_are_rounded(platform):
    platform.ledger.sums = [Sum(of=day, price=10) for day in range(10)]  # 0.0025 units each

    answer = await platform.ask(SUMMARY, platform.ann.admin)

    data = answer.json()["data"]
    assert data["rows"][0]["fee"] == "0.00"
    assert (data["total"]["fee"], data["total"]["fee_usd"]) == ("0.02", "0.0000001")


async def test_sums_by_something_else_are_400(platform):
    answer = await platform.ask(SUMMARY, platform.ann.admin, {"by": "colour"})

    assert answer.status == 400
    assert "day, model, key" in answer.json()["message"]


# -- export --------------------------------------------------------------------------------------


async def test_the_export_has_every_call_once_over_several_pages(platform):
    made = charges(platform, 2500)

    answer = await platform.ask(f"{EXPORT}?format=csv", platform.ann.admin)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [row["id"] for row in rows] == made
    assert rows[0]["fee_usd"] == "0.001"
    assert [limit for _, limit, _ in platform.ledger.asked] == [1000] * 4


async def test_an_export_of_nothing_has_its_head(platform):
    answer = await platform.ask(EXPORT, platform.ann.plain, headers=("accept: text/csv",))

    assert answer.body == b"id,at,key_id,model,input_tokens,output_tokens,fee,fee_usd,outcome\r\n"


async def test_the_export_takes_the_filters_of_the_list(platform):
    charges(platform, 2)
    charges(platform, 1, model="claude-3-opus")

    answer = await platform.ask(f"{EXPORT}?model=claude-3-opus", platform.ann.admin)

    assert len(answer.body.splitlines()) == 2


@pytest.mark.parametrize("query", ["format=pdf", "from=soon", "before=x", "a=%ff"])
async def test_an_export_that_cannot_be_is_400_before_it_begins(platform, query):
    answer = await platform.ask(f"{EXPORT}?{query}", platform.ann.admin)

    assert (answer.status, answer.json()["statusCode"]) == (400, 400)


async def test_exports_keep_their_pace(platform):
    platform.pace.refuses = True

    answer = await platform.ask(EXPORT, platform.ann.admin)

    assert answer.status == 429
    assert platform.pace.counted == [(Kind.EXPORT_USAGE, platform.ann.id)]


async def test_an_export_ends_when_its_client_left(platform):
    charges(platform, 30_000)
    client = await platform.server.connect()
    head = f"{EXPORT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {platform.ann.admin}\r\n\r\n"
    await client.send(head.encode())
    await client.reader.readuntil(b"\r\n\r\n")

    client.leave()

    async with asyncio.timeout(DEADLINE):
        await platform.server.emptied()
    assert len(platform.ledger.asked) < 31


def test_nothing_in_a_file_is_a_formula():
    lines = csv_lines([["=1+1", "-1", "@x", "gpt-4o", 5, 'a"b,c\n']]).decode()

    assert lines == '\'=1+1,\'-1,\'@x,gpt-4o,5,"a""b,c\n"\r\n'
