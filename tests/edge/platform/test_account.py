"""Balance and membership over the API."""

from meterway.accounts import service as accounts
from meterway.accounts.types import Tier
from meterway.db.engine import transaction
from meterway.ledger.books.types import Pots

USD = 1_000_000_000


async def test_both_pots_are_told_in_units(both_platforms):
    platform = both_platforms
    platform.ledger.of_users[platform.ann.id] = Pots(free=USD // 3, paid=32_868_000, due=0)

    answer = await platform.admin("balance")

    assert answer.json()["data"] == {"balance": "8217.00", "free_balance": "83333.33"}


async def test_who_never_had_anything_has_nothing(platform):
    answer = await platform.admin("balance")

    assert answer.json()["data"] == {"balance": "0.00", "free_balance": "0.00"}


async def test_what_a_postpaid_user_owes_is_below_zero(platform):
    platform.ledger.of_users[platform.ann.id] = Pots(due=-2 * USD)

    answer = await platform.admin("balance", form=True, body={})

    assert answer.json()["data"]["balance"] == "-500000.00"


async def test_membership_is_told_with_its_end(both_platforms):
    platform = both_platforms
    end = platform.clock.now() + 60
    async with transaction(platform.engine) as tx:
        await accounts.set_tier(tx, platform.ann.id, Tier.PREMIUM, end)

    before = (await platform.admin("get-membership-expire-date")).json()["data"]
    platform.clock.advance(60)
    after = (await platform.admin("get-membership-expire-date")).json()["data"]

    assert before == {"tier": "PREMIUM", "expired_at": "2027-01-15T08:01:00.000Z"}
    assert after == {"tier": "normal", "expired_at": "2027-01-15T08:01:00.000Z"}


async def test_a_normal_user_has_no_end(platform):
    answer = await platform.admin("get-membership-expire-date")

    assert answer.json()["data"] == {"tier": "normal", "expired_at": None}
