"""Buying membership and redeeming codes over the API."""

import pytest

from meterway.db.engine import transaction
from meterway.kit.money import NANOS_PER_USD
from meterway.ledger.books.types import Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.codes import service as codes
from meterway.ledger.codes.types import NewCodes
from meterway.limits.types import Kind as Paced
from tests.factories.platform import PEPPER

BUY, REDEEM = "POST /api/v1/user/membership/buy", "POST /api/v1/user/redeem"


async def fund(platform, dollars):
    async with transaction(platform.engine) as tx:
        amount = dollars * NANOS_PER_USD
        await budgets.top_up(tx, platform.ann.id, amount, at=1.0, reference=None)


async def new_code(platform, **facts):
    async with transaction(platform.engine) as tx:
        new = NewCodes(amount=5 * NANOS_PER_USD, **facts)
        return (await codes.create(tx, PEPPER, new, now=platform.clock.now()))[0]


@pytest.mark.parametrize("form", [False, True])
async def test_membership_is_bought_by_json_and_by_form(both_platforms, form):
    platform = both_platforms
    await fund(platform, 25)

    answer = await platform.ask(BUY, platform.ann.admin, {"tier": "vip", "months": 2}, form=form)
    told = await platform.admin("get-membership-expire-date")

    data = answer.json()["data"]
    assert answer.status == 200
    assert data == {
        "tier": "VIP",
        "expired_at": "2027-03-15T08:00:00.000Z",
        "cost": "5000000.00",
        "balance": "1250000.00",
        "free_balance": "0.00",
    }
    assert told.json()["data"] == {"tier": "VIP", "expired_at": data["expired_at"]}
    assert platform.pace.counted[0] == (Paced.PURCHASE, platform.ann.id)


async def test_without_the_money_it_is_402_and_nothing_changes(platform):
    await fund(platform, 9)

    answer = await platform.ask(BUY, platform.ann.admin, {"tier": "VIP"})
    told = await platform.admin("get-membership-expire-date")

    assert (answer.status, answer.json()["errorType"]) == (402, "insufficient_balance_error")
    assert told.json()["data"] == {"tier": "normal", "expired_at": None}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tier": "normal"},
        {"tier": "GOLD"},
        {"tier": ["VIP"]},
        {"tier": "VIP", "months": 0},
        {"tier": "VIP", "months": 37},
        {"tier": "VIP", "months": -1},
        {"tier": "VIP", "months": 1.5},
        {"tier": "VIP", "months": "NaN"},
        {"tier": "VIP", "months": True},
    ],
)
async def test_absurd_purchases_are_refused(platform, body):
    await fund(platform, 1000)

    answer = await platform.ask(BUY, platform.ann.admin, body)

    assert (answer.status, answer.json()["errorType"]) == (400, "bad_field_error")


async def test_a_code_fills_the_pot_it_is_for_and_works_once(both_platforms):
    platform = both_platforms
    gift, sale = await new_code(platform), await new_code(platform, pot=Kind.PAID)

    first = await platform.ask(REDEEM, platform.ann.admin, {"code": f" {gift.lower()} "})
    second = await platform.ask(REDEEM, platform.ann.admin, {"code": sale}, form=True)
    again = await platform.ask(REDEEM, platform.bob.admin, {"code": gift})

    assert first.json()["data"] == {
        "amount": "1250000.00",
        "balance": "0.00",
        "free_balance": "1250000.00",
    }
    assert second.json()["data"]["balance"] == "1250000.00"
    assert (again.status, again.json()["errorType"]) == (409, "code_used_error")


async def test_codes_nobody_made_or_that_are_over_are_told_apart(platform):
    late = await new_code(platform, expires_at=platform.clock.now() + 10)
    platform.clock.advance(10)

    answers = [
        await platform.ask(REDEEM, platform.ann.admin, {"code": code})
        for code in ("MW-AAAAA-AAAAA-AAAAA-AAAAA", "☃", late, "x" * 101, None, 7)
    ]

    assert [(one.status, one.json()["errorType"]) for one in answers] == [
        (404, "code_not_found_error"),
        (404, "code_not_found_error"),
        (409, "code_expired_error"),
        (400, "bad_field_error"),
        (400, "bad_field_error"),
        (404, "code_not_found_error"),
    ]
