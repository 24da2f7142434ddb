"""How much a worker asks for beyond what it needs."""

from meterway.ledger.budgets.rooms import Room
from meterway.ledger.budgets.types import Budget, BudgetKind


def _asked(*moments: float) -> list[int]:
    room = Room(Budget(BudgetKind.WALLET, 1))
    slices = []
    for now in moments:
        slices.append(room.slice_at(now, 10))
        room.grant(slices[-1], now)
    assert room.idle == sum(slices)
    return slices


def test_a_slice_is_the_usual_where_it_lasts():
    assert _asked(100.0, 105.0, 110.0) == [10, 10, 10]


def test_a_slice_doubles_while_it_does_not_last_a_second():
    assert _asked(0.0, 0.1, 0.9, 1.8) == [10, 20, 40, 80]


def test_a_slice_that_lasts_a_second_or_some_stays():
    assert _asked(0.0, 0.5, 1.6, 4.6, 8.5) == [10, 20, 20, 20, 20]


def test_a_slice_that_lasts_longer_is_the_usual_again():
    assert _asked(0.0, 0.5, 0.9, 5.0) == [10, 20, 40, 10]


def test_asking_alone_changes_nothing():
    room = Room(Budget(BudgetKind.WALLET, 1))
    room.grant(10, 0.0)

    assert [room.slice_at(now, 10) for now in (0.1, 0.2, 0.3, 1.5)] == [20, 20, 20, 10]


def test_a_slice_has_an_end():
    assert max(_asked(*(i / 10 for i in range(50)))) == 640
