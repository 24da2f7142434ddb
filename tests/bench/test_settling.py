"""Tests of holding and settling in one process: what is measured is sound."""

from dataclasses import replace

import pytest

from meterway.bench import settling
from meterway.bench.settling import Costs
from meterway.bench.types import Verdict

GOOD = Costs((12.0, 10.0, 14.0), calls=20_000, cpu=1.0, wall=1.5, grown=4_000_000, breaks=())


async def test_every_call_that_was_journalled_is_posted_and_the_ledger_proves_it(tmp_path):
    costs = await settling.measure(tmp_path, 600)

    assert (costs.calls, costs.breaks) == (600, ())
    assert costs.grown > 0
    assert len(costs.micros) == 1


def test_costs_are_figures_with_targets():
    micros, rate, size = settling.figures(GOOD)

    assert (micros.value, rate.value, size.value) == (12.0, 20_000, 200)
    assert [row.target for row in (micros, rate, size)] == ["≤ 15", "≥ 10,000", "≤ 300"]
    assert {row.verdict for row in (micros, rate, size)} == {Verdict.MET}


@pytest.mark.parametrize(
    ("changed", "at"),
    [({"micros": (16.0,)}, 0), ({"cpu": 2.1}, 1), ({"grown": 6_020_000}, 2)],
)
def test_each_target_is_missed_by_itself(changed, at):
    found = settling.figures(replace(GOOD, **changed))

    assert [row.verdict is Verdict.MISSED for row in found] == [i == at for i in range(3)]


def test_a_ledger_that_does_not_add_up_makes_the_figures_invalid():
    found = settling.figures(replace(GOOD, breaks=("a seal does not fit",)))

    assert {row.verdict for row in found} == {Verdict.INVALID}
    assert "a seal does not fit" in found[0].note
