"""Tests of the way from turns to figures and verdicts."""

import pytest

from meterway.bench.judge import cost, costs, to_nginx, verdicts
from meterway.bench.measure import SCENARIOS
from meterway.bench.types import Load, Result, Subject, Turn, Verdict

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def turn(micros: float, *, errors: int = 0, complaint: str = "", tokens: int = 0, alone: int = 0):
    """Return a turn of 1,000 units at `micros` of processor time each."""
    load = Load(1_000, errors, 2.0, tokens=tokens, arrivals=alone, complaint=complaint)
    return Turn(load, micros / 1e3, {"counter": 0.001})


def result(name: str, nginx: float | None, *ours: Turn) -> Result:
    turns = {Subject.DIRECT: (turn(2.0, tokens=1_000),), Subject.OURS: ours}
    if nginx is not None:
        turns[Subject.NGINX] = (turn(nginx, tokens=1_000),)
    return Result(BY_NAME[name], turns)


def test_cost_is_the_median_of_the_turns():
    found = cost([turn(30.0), turn(90.0), turn(40.0)], stream=False)

    assert found.micros == pytest.approx(40.0)
    assert found.per_cpu_second == pytest.approx(25_000)
    assert found.wall_rate == pytest.approx(500)
    assert found.aside_micros == pytest.approx(1.0)
    assert found.busy == pytest.approx(0.02)


def test_a_streams_cost_is_per_chunk():
    found = cost([turn(50.0, tokens=10_000)], stream=True)

    assert found.micros == pytest.approx(5.0)


def test_nothing_answered_is_no_cost_but_a_complaint():
    broken = Turn(Load(0, 1, 0.1, complaint="status 500: oh"), 0.0)

    found = cost([broken, broken], stream=False)

    assert (found.micros, found.per_cpu_second) == (None, None)
    assert (found.errors, found.complaint) == (2, "status 500: oh")


def test_ratio_to_nginx_is_of_work_per_processor_second():
    table = costs(result("openai", 15.0, turn(60.0)))

    assert to_nginx(table) == pytest.approx(0.25)


@pytest.mark.parametrize(("ours", "verdict"), [(90.0, Verdict.MET), (110.0, Verdict.MISSED)])
def test_pass_through_is_held_against_nginx(ours, verdict):
    (row,) = verdicts([result("openai", 15.0, turn(ours))])

    assert row.value == pytest.approx(15 / ours)
    assert row.verdict is verdict


def test_without_nginx_the_ratio_is_unknown():
    (row,) = verdicts([result("openai", None, turn(60.0))])

    assert (row.value, row.verdict) == (None, Verdict.UNKNOWN)


@pytest.mark.parametrize(("ours", "verdict"), [(80.0, Verdict.MET), (90.0, Verdict.MISSED)])
def test_translation_is_held_against_the_same_clients_pass_through(ours, verdict):
    plain, other = result("anthropic", 15.0, turn(50.0)), result("openai", 15.0, turn(5.0))

    rows = verdicts([other, plain, result("anthropic-to-openai", 15.0, turn(ours))])

    assert rows[-1].value == pytest.approx(50 / ours)
    assert rows[-1].verdict is verdict


def test_large_translation_is_held_against_large_pass_through():
    small, large = result("anthropic", 15.0, turn(1.0)), result("openai-100k", 15.0, turn(50.0))

    rows = verdicts([small, large, result("anthropic-to-openai-100k", 15.0, turn(100.0))])

    assert rows[-1].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "times", "verdict"),
    [
        ("openai-stream", 2.9, Verdict.MET),
        ("openai-stream", 3.1, Verdict.MISSED),
        ("anthropic-to-openai-stream", 5.9, Verdict.MET),
        ("anthropic-to-openai-stream", 6.1, Verdict.MISSED),
    ],
)
def test_streams_may_cost_a_multiple_of_nginx(name, times, verdict):
    rows = verdicts([result(name, 10.0, turn(10.0 * times, tokens=1_000))])

    assert rows[0].value == pytest.approx(times)
    assert rows[0].verdict is verdict


def test_chunks_that_came_alone_are_a_share_of_those_seen():
    found = [turn(30.0, tokens=800, alone=800), turn(30.0, tokens=200, alone=100)]

    rows = verdicts([result("openai-stream", 10.0, *found)])

    assert rows[1].value == pytest.approx(90.0)
    assert rows[1].note == "1000 chunks seen in 900 reads"


def test_one_error_makes_a_figure_invalid_however_good_it_is():
    spoilt = turn(20.0, errors=1, complaint="1 timeouts")

    (row,) = verdicts([result("openai", 15.0, turn(20.0), spoilt)])

    assert row.verdict is Verdict.INVALID
    assert "1 timeouts" in row.note


def test_errors_of_the_pass_through_spoil_the_translation_held_against_it():
    broken = result("anthropic", 15.0, turn(50.0, errors=1, complaint="lost"))

    rows = verdicts([broken, result("anthropic-to-openai", 15.0, turn(50.0))])

    assert rows[-1].verdict is Verdict.INVALID
