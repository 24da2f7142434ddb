"""Tests of what the benchmark says of the Responses API, and of how it counts what is stored."""

import json
from dataclasses import replace

import pytest

from meterway.bench.responses import Side, Taken, figures, question_of, stored_by, take_turn
from meterway.bench.shop import open_shop
from meterway.bench.stage import set_up
from meterway.bench.types import Load, Turn, Verdict
from tests.bench.test_gateway import STAND_IN, gateway_in


def turn(micros: float, complaint: str = "") -> Turn:
    """Return a turn of 1,000 requests at so many microseconds each."""
    return Turn(Load(1_000, int(bool(complaint)), 1.0, complaint=complaint), micros / 1e3)


def taken(passed: Turn, told: Turn, kept: Turn) -> Taken:
    return Taken({Side.PASSED: [passed], Side.TOLD: [told], Side.KEPT: [kept]})


@pytest.mark.parametrize(("told", "verdict"), [(190.0, Verdict.MET), (210.0, Verdict.MISSED)])
def test_responses_are_held_against_pass_through(told, verdict):
    row, _ = figures(taken(turn(100.0), turn(told), turn(told)))

    assert row.value == pytest.approx(100 / told)
    assert row.verdict is verdict
    assert row.note == f"per request: passed through 100.0 µs, responses {told} µs"


@pytest.mark.parametrize(("kept", "verdict"), [(258.0, Verdict.MET), (262.0, Verdict.MISSED)])
def test_storing_is_held_against_the_same_call_without_it(kept, verdict):
    _, row = figures(taken(turn(100.0), turn(200.0), turn(kept)))

    assert row.value == pytest.approx((kept - 200) / 2)
    assert row.verdict is verdict
    assert row.note == f"per request: 200.0 µs, stored {kept} µs"


def test_a_reply_that_was_not_stored_spoils_the_figure_of_storing_alone():
    found = taken(turn(100.0), turn(150.0), turn(160.0))
    found.missing = 2

    ratio, storing = figures(found)

    assert (ratio.verdict, storing.verdict) == (Verdict.MET, Verdict.INVALID)
    assert "2 replies were not stored" in storing.note


def test_a_refused_call_spoils_what_is_held_against_it():
    refused = turn(150.0, complaint="status 400: no")

    assert {row.verdict for row in figures(taken(turn(100.0), refused, turn(160.0)))} == {
        Verdict.INVALID
    }
    ratio, storing = figures(taken(turn(100.0), turn(150.0), refused))
    assert (ratio.verdict, storing.verdict) == (Verdict.MET, Verdict.INVALID)


async def test_responses_are_counted_in_the_gateways_own_database(tmp_path):
    gateway = replace(gateway_in(tmp_path), key="sk-customer")
    gateway.database.parent.mkdir()

    async with open_shop(gateway.database, 1):
        assert await stored_by(gateway) == 0


async def test_sides_ask_one_gateway_the_same_and_what_nobody_stored_is_missed(tmp_path):
    found = Taken()

    async with set_up(tmp_path, STAND_IN) as stage:
        await stage.gateway.init()
        asked = {side: question_of(stage, side) for side in Side}
        await stage.gateway.start(asked[Side.PASSED])
        async with open_shop(stage.gateway.database, 1):
            for side in (Side.PASSED, Side.KEPT):
                await take_turn(stage, side, 0.1, found)

    assert asked[Side.PASSED].path == "/v1/chat/completions"
    bodies = {side: json.loads(asked[side].body) for side in (Side.TOLD, Side.KEPT)}
    assert {asked[side].path for side in bodies} == {"/v1/responses"}
    assert {side: body.pop("store") for side, body in bodies.items()} == {
        Side.TOLD: False,
        Side.KEPT: True,
    }
    assert bodies[Side.TOLD] == bodies[Side.KEPT]
    assert found.turns[Side.PASSED][0].load.requests > 0
    assert found.missing > 0
    assert found.missing == found.turns[Side.KEPT][0].load.requests
