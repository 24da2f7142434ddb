"""Tests of what the benchmark says of metering, and of the customer it meters."""

import json
import os
from dataclasses import replace

import pytest

from meterway.bench import processes
from meterway.bench.money import (
    Side,
    Taken,
    all_posted,
    figures,
    posted_by,
    settings_of,
    take_turn,
)
from meterway.bench.shop import open_shop
from meterway.bench.stage import set_up
from meterway.bench.types import Load, Turn, Verdict
from meterway.kit.errors import UnavailableError
from tests.bench.test_gateway import STAND_IN, gateway_in


def turn(micros: float, *, settler: float = 0.0, complaint: str = "") -> Turn:
    """Return a turn of 1,000 requests at so many microseconds of worker and settler each."""
    load = Load(1_000, int(bool(complaint)), 1.0, complaint=complaint)
    return Turn(load, micros / 1e3, {"backstage": settler / 1e3, "parent": 0.5})


def taken(nginx: float | None, off: float, on: Turn) -> Taken:
    found = Taken()
    found.turns[Side.OFF].append(turn(off))
    found.turns[Side.LIMITED].append(turn(80.0))
    found.turns[Side.ON].append(on)
    if nginx is not None:
        found.turns[Side.NGINX].append(turn(nginx))
    return found


def test_the_settlers_time_counts_for_everything_on():
    to_off, to_nginx, to_limited, added = figures(taken(12.0, 75.0, turn(90.0, settler=10.0)))

    assert to_off.value == pytest.approx(0.75)
    assert to_off.verdict is Verdict.MET
    assert (
        to_off.note
        == "per request: off 75.0 µs, on 90.0 µs in the worker and 10.0 µs in the settler"
    )
    assert to_nginx.value == pytest.approx(0.12)
    assert to_limited.value == pytest.approx(0.8)
    assert to_limited.target == ""
    assert added.value == pytest.approx(15.0)


@pytest.mark.parametrize(("settler", "verdict"), [(9.0, Verdict.MET), (11.0, Verdict.MISSED)])
def test_everything_on_is_held_against_the_same_route_with_billing_off(settler, verdict):
    to_off, *_ = figures(taken(12.0, 75.0, turn(90.0, settler=settler)))

    assert to_off.verdict is verdict


def test_without_nginx_only_its_ratio_is_unknown():
    to_off, to_nginx, *_ = figures(taken(None, 75.0, turn(90.0)))

    assert to_off.value is not None
    assert (to_nginx.value, to_nginx.verdict) == (None, Verdict.UNKNOWN)


def test_a_reply_without_a_charge_makes_every_figure_invalid():
    found = taken(12.0, 75.0, turn(90.0))
    found.missing = 2

    assert {row.verdict for row in figures(found)} == {Verdict.INVALID}
    assert "2 replies have no charge" in figures(found)[0].note


def test_a_refused_call_makes_every_figure_invalid():
    found = taken(12.0, 75.0, turn(90.0, complaint="status 402: no money"))

    assert {row.verdict for row in figures(found)} == {Verdict.INVALID}


def test_limits_count_with_everything_on_and_not_with_billing_off():
    sides = (Side.ON, Side.OFF, Side.LIMITED)
    on, off, limited = (json.loads(settings_of(side)["METERWAY_LIMITS"]) for side in sides)

    assert "METERWAY_BILLING" not in settings_of(Side.ON)
    assert settings_of(Side.OFF)["METERWAY_BILLING"] == "false"
    assert on["normal"].keys() == off["normal"].keys()
    assert min(on["normal"].values()) >= 60_000
    assert set(off["normal"].values()) == {0}
    assert settings_of(Side.LIMITED)["METERWAY_BILLING"] == "false"
    assert limited == on


async def test_charges_are_counted_in_the_gateways_own_database(tmp_path):
    gateway = replace(gateway_in(tmp_path), key="sk-customer")
    gateway.database.parent.mkdir()

    async with open_shop(gateway.database, 1):
        await all_posted(gateway, quiet=0.0)

        assert await posted_by(gateway) == 0


async def test_a_gateway_runs_for_its_turn_alone_also_where_its_charges_cannot_be_read(tmp_path):
    found = Taken()

    async with set_up(tmp_path, STAND_IN) as stage:
        await stage.gateway.init()
        before = processes.descendants(os.getpid()).keys()
        await take_turn(stage, Side.OFF, "sk-customer", 0.1, found)
        with pytest.raises(UnavailableError):
            await take_turn(stage, Side.ON, "sk-customer", 0.1, found)
        after = processes.descendants(os.getpid()).keys()

    (one,) = found.turns[Side.OFF]
    assert one.load.requests > 0
    assert (one.load.complaint, found.turns[Side.ON]) == ("", [])
    assert before == after
