"""What chat programs show a balance with: hard limit less usage is what is left."""

import pytest

from meterway.db.engine import transaction
from meterway.keys import service as keys
from meterway.ledger.books.types import Pots
from tests.factories.platform import Sum

USD = 1_000_000_000
SUBSCRIPTION = "GET /v1/dashboard/billing/subscription"
USAGE = "GET /v1/dashboard/billing/usage"


async def told(platform, key, query=""):
    limit = await platform.ask(SUBSCRIPTION, key)
    usage = await platform.ask(USAGE + query, key)
    assert (limit.status, usage.status) == (200, 200)
    return limit.json(), usage.json()


async def spend(platform, key_id, fee):
    async with transaction(platform.engine) as tx:
        await keys.count_use(tx, {key_id: (1, fee, 1.0)})


async def test_the_shape_is_the_one_programs_read(platform):
    platform.ledger.of_users[platform.ann.id] = Pots(free=USD, paid=2 * USD)
    platform.ledger.sums = [Sum(of=20_453, price=USD // 2), Sum(of=20_454, price=USD // 4)]

    limit, usage = await told(platform, platform.ann.plain)

    assert limit == {
        "object": "billing_subscription",
        "has_payment_method": True,
        "canceled": False,
        "soft_limit_usd": 3.75,
        "hard_limit_usd": 3.75,
        "system_hard_limit_usd": 3.75,
        "access_until": 0,
    }
    assert usage == {
        "object": "list",
        "daily_costs": [
            {"timestamp": 1767139200.0, "line_items": [{"name": "Calls", "cost": 50.0}]},
            {"timestamp": 1767225600.0, "line_items": [{"name": "Calls", "cost": 25.0}]},
        ],
        "total_usage": 75.0,
    }


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("", 2),
        ("?start_date=2026-01-01", 1),
        ("?start_date=2025-12-01&end_date=2026-01-01", 1),
        ("?start_date=2026-02-01&end_date=2026-03-01", 0),
    ],
)
async def test_dates_choose_the_days_and_what_is_left_stays_right(platform, query, days):
    platform.ledger.of_users[platform.ann.id] = Pots(paid=2 * USD)
    platform.ledger.sums = [Sum(of=20_453, price=USD), Sum(of=20_454, price=USD)]

    limit, usage = await told(platform, platform.ann.plain, query)

    assert len(usage["daily_costs"]) == days
    assert limit["hard_limit_usd"] - usage["total_usage"] / 100 == 2.0


@pytest.mark.parametrize(("wallet", "left"), [(10, 3.0), (1, 1.0), (0, 0.0), (-1, 0.0)])
async def test_a_key_with_a_bound_has_the_lesser_of_bound_and_balance(platform, wallet, left):
    platform.ledger.of_users[platform.ann.id] = Pots(paid=wallet * USD)
    platform.ledger.sums = [Sum(of=1, price=99 * USD)]
    key_id, token = await platform.new_key(platform.ann.id, max_fee=5 * USD, expires_at=2e9)
    await spend(platform, key_id, 2 * USD)

    limit, usage = await told(platform, token)

    assert usage["total_usage"] == 200.0
    assert usage["daily_costs"] == []
    assert limit["hard_limit_usd"] == 2.0 + left
    assert limit["access_until"] == 2_000_000_000


async def test_a_key_beyond_its_bound_has_nothing_left(platform):
    platform.ledger.of_users[platform.ann.id] = Pots(paid=USD)
    key_id, token = await platform.new_key(platform.ann.id, max_fee=USD)
    await spend(platform, key_id, 2 * USD)

    limit, _ = await told(platform, token)

    assert limit["hard_limit_usd"] == 2.0


async def test_who_pays_later_has_no_limit_but_a_keys_own(platform):
    person = await platform.new_person(postpaid=True)
    _, token = await platform.new_key(person.id, max_fee=USD)

    free, _ = await told(platform, person.plain)
    bound, _ = await told(platform, token)

    assert (free["hard_limit_usd"], bound["hard_limit_usd"]) == (100_000_000.0, 1.0)


@pytest.mark.parametrize("query", ["?start_date=soon", "?end_date=2026-13-01"])
async def test_a_date_that_is_none_is_400_in_openais_shape(platform, query):
    answer = await platform.ask(USAGE + query, platform.ann.plain)

    assert answer.status == 400
    assert answer.json()["error"]["param"] in {"start_date", "end_date"}


async def test_programs_leave_out_the_version_too(platform):
    answer = await platform.ask("GET /dashboard/billing/subscription", platform.ann.plain)

    assert answer.status == 200
