"""The platform's endpoints over the ledger itself: one figure, wherever it is asked for."""

import csv
import io

import pytest

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.kit.ids import request_id
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.seals import service as seals
from tests.factories.charges import AT, new_record
from tests.factories.platform import Platform, open_platform

USD = 1_000_000_000
USAGE = "/api/v1/user/usage/"


@pytest.fixture
async def platform(engine):
    async with open_platform(engine, real=True) as made:
        yield made


async def post(platform: Platform, *records):
    """Post calls as the settler does, their keys' counters included."""
    async with transaction(platform.engine) as tx:
        await books.lock(tx)
        before = await seals.last(tx)
        users = {record.user_id for record in records}
        pots = await books.pots(tx, users, lock=True)
        posted = await charges.post(tx, charges.Names(), before.batch + 1, records, pots)
        await books.move(tx, posted.deltas)
        await keys.count_use(tx, posted.keys)
        await seals.add(tx, before, charges=posted.count, content=posted.digest, at=AT)


async def fund(platform: Platform, paid, free):
    async with transaction(platform.engine) as tx:
        for amount, pot in ((paid, Kind.PAID), (free, Kind.FREE)):
            await budgets.top_up(tx, platform.ann.id, amount, pot, at=AT, reference=f"test {pot}")


def calls(platform: Platform, count, price):
    who = {"user_id": platform.ann.id, "key_id": platform.ann.plain_id}
    return [new_record(price=price, model="gpt-4o", **who) for _ in range(count)]


async def told(platform: Platform, request, body=None, key=None):
    answer = await platform.ask(request, key or platform.ann.admin, body)
    assert answer.status == 200, answer.body
    value = answer.json()
    return value["data"] if "statusCode" in value else value


async def test_the_same_figure_stands_everywhere(platform):
    await fund(platform, 2 * USD, USD // 2)
    made = calls(platform, 3, USD // 4)
    await post(platform, *made)

    page = await told(platform, f"POST {USAGE}list")
    sums = [await told(platform, f"POST {USAGE}summary", {"by": by}) for by in ("day", "model")]
    by_key = await told(platform, f"POST {USAGE}summary", {"by": "key"})
    receipt = await told(platform, f"GET /api/v1/user/receipts/{request_id(made[0].call_id)}")
    [_, key] = await told(platform, "POST /api/v1/user/admin/get-api-tokens")
    balance = await told(platform, "POST /api/v1/user/admin/balance")
    limit = await told(platform, "GET /v1/dashboard/billing/subscription")
    usage = await told(platform, "GET /v1/dashboard/billing/usage")

    assert [call["fee_usd"] for call in page["calls"]] == ["0.25"] * 3
    assert {one["total"]["fee_usd"] for one in (*sums, by_key)} == {"0.75"}
    assert {one["total"]["calls"] for one in (*sums, by_key)} == {3}
    assert by_key["rows"][0]["key_id"] == str(platform.ann.plain_id)
    assert sums[1]["rows"][0]["model"] == "gpt-4o"
    assert (receipt["fee_usd"], receipt["paid_by_usd"]["free"]) == ("0.25", "0.25")
    assert (key["used_fee"], key["used_times"]) == ("187500.00", 3)
    assert balance == {"balance": "437500.00", "free_balance": "0.00"}
    assert (usage["total_usage"], limit["hard_limit_usd"]) == (75.0, 2.5)


async def test_pages_and_export_visit_each_call_once(platform):
    made = calls(platform, 25, 1000)
    await post(platform, *made)
    seen, before = [], None
    while True:
        page = await told(platform, f"POST {USAGE}list", {"limit": 10, "before": before})
        seen += [call["id"] for call in page["calls"]]
        before = page["next_before"]
        if before is None:
            break

    answer = await platform.ask(f"GET {USAGE}export?model=gpt-4o", platform.ann.plain)

    newest_first = [request_id(one.call_id) for one in reversed(made)]
    rows = csv.DictReader(io.StringIO(answer.body.decode()))
    assert seen == [row["id"] for row in rows] == newest_first


async def test_somebody_elses_calls_are_nowhere(platform):
    [made] = calls(platform, 1, 1000)
    await post(platform, made)
    bob = platform.bob.admin

    page = await told(platform, f"POST {USAGE}list", key=bob)
    sums = await told(platform, f"POST {USAGE}summary", key=bob)
    receipt = await platform.ask(f"GET /api/v1/user/receipts/{made.call_id}", bob)

    assert (page["calls"], sums["rows"], receipt.status) == ([], [], 404)


@pytest.mark.parametrize(
    "span",
    [{"from": "0001-01-02", "to": "9999-12-31"}, {"to": "1000-01-01"}, {"from": "9000-01-01"}],
)
async def test_spans_of_any_age_can_be_asked_for(platform, span):
    await post(platform, *calls(platform, 1, 1000))

    for name in ("list", "summary"):
        await told(platform, f"POST {USAGE}{name}", span)
