"""Who bears a call: free money first, never more than leases covered, and nothing unaccounted."""

from hypothesis import given
from hypothesis import strategies as st

from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.charges import legs
from meterway.ledger.charges.legs import Borne, Legs
from meterway.ledger.charges.types import Funding
from tests.factories.charges import new_record

_records = st.lists(
    st.builds(
        lambda funding, price, part, user_id, cost: new_record(
            funding=funding, price=price, overrun=price * part // 4, user_id=user_id, cost=cost
        ),
        st.sampled_from(Funding),
        st.integers(0, 1000),
        st.integers(0, 4),
        st.integers(1, 3),
        st.integers(0, 9),
    ),
    max_size=20,
)
_pots = st.builds(Pots, free=st.integers(-50, 5000), paid=st.integers(-50, 5000))


def _borne(records, split):
    return [
        Borne(one.user_id, one.channel_id, one.billing, one.price, one.cost, leg)
        for one, leg in zip(records, split, strict=True)
    ]


def test_free_money_is_spent_before_paid_across_a_batch():
    records = [new_record(price=60), new_record(price=60), new_record(price=5, user_id=8)]

    found = legs.split(records, {7: Pots(free=100, paid=50)})

    assert found == [Legs(60, 0, 0, 0, 0), Legs(40, 20, 0, 0, 0), Legs(0, 5, 0, 0, 0)]


def test_what_no_lease_covered_is_the_houses():
    records = [
        new_record(price=60, overrun=20, funding=funding)
        for funding in (Funding.WALLET, Funding.CREDIT, Funding.DUE, Funding.HOUSE)
    ]

    assert legs.split(records, {7: Pots(free=30)}) == [
        Legs(30, 10, 0, 0, 20),
        Legs(0, 0, 40, 0, 20),
        Legs(0, 0, 0, 40, 20),
        Legs(0, 0, 0, 0, 60),
    ]


def test_balances_move_by_account():
    records = [
        new_record(price=60, overrun=20, cost=9),
        new_record(price=5, cost=0, funding=Funding.CREDIT, billing="codex"),
        new_record(price=3, cost=1, channel_id=4, funding=Funding.DUE),
    ]

    moved = legs.deltas(_borne(records, legs.split(records, {7: Pots(free=30)})))

    assert moved == {
        Account(Kind.FREE, 7): -30,
        Account(Kind.PAID, 7): -10,
        Account(Kind.CREDIT, 7, "codex"): -5,
        Account(Kind.DUE, 7): -3,
        Account(Kind.OVERRUN): -20,
        Account(Kind.REVENUE): 68,
        Account(Kind.COST, 3): -9,
        Account(Kind.PROVIDER, 3): 9,
        Account(Kind.COST, 4): -1,
        Account(Kind.PROVIDER, 4): 1,
    }


@given(_records, st.dictionaries(st.integers(1, 3), _pots))
def test_legs_add_up_to_the_price_and_movements_to_nothing(records, pots):
    split = legs.split(records, pots)

    moved = legs.deltas(_borne(records, split))

    assert [sum(leg) for leg in split] == [record.price for record in records]
    assert all(amount >= 0 for leg in split for amount in leg)
    assert sum(moved.values()) == 0
    for user_id in (1, 2, 3):
        spent = -moved.get(Account(Kind.FREE, user_id), 0)
        assert spent <= max(0, pots.get(user_id, Pots()).free)


@given(_records, _pots)
def test_pots_that_cover_a_batch_stay_above_nothing(records, pots):
    covered = sum(
        one.price - one.overrun
        for one in records
        if one.user_id == 1 and one.funding is Funding.WALLET
    )
    free = max(0, pots.free)
    enough = Pots(free=free, paid=max(0, covered - free))

    moved = legs.deltas(_borne(records, legs.split(records, {1: enough})))

    assert enough.free + moved.get(Account(Kind.FREE, 1), 0) >= 0
    assert enough.paid + moved.get(Account(Kind.PAID, 1), 0) >= 0
