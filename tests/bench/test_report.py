"""Tests of the report's table and JSON."""

import io
import json

import pytest
from rich.console import Console

from meterway.bench import rows
from meterway.bench.measure import SCENARIOS
from meterway.bench.report import as_json, number, render
from meterway.bench.types import Load, Report, Result, Row, Subject, Turn, Verdict

GOOD = Turn(Load(1_000, 0, 1.0, p50=0.002, p99=0.0041, tokens=100_000), 0.05, {"counter": 0.01})
BAD = Turn(Load(0, 7, 1.0, complaint="status 500: [/] oh"), 0.0)


def report(**turns: Turn) -> Report:
    found = {Subject(name): (turn,) for name, turn in turns.items()}
    results = tuple(
        Result(scenario, found) for scenario in SCENARIOS if "100k" not in scenario.name
    )
    figures = (
        rows.at_most("latency", "p50 added", 0.4, 0.5, "ms", "note [bracketed]"),
        rows.at_least("whole", "ratio", 0.1, 0.15, "x"),
        rows.spoilt(rows.at_most("start", "cold", 1.0, 1.5, "s"), ["", "1 lost"]),
        Row("stream", "alone", None, "%"),
    )
    return Report({"python": "3.11", "cores": 2}, results, figures)


def printed(value: Report) -> str:
    sink = io.StringIO()
    render(value, Console(file=sink, width=220))
    return sink.getvalue()


def line(text: str, start: str) -> list[str]:
    (found,) = [row for row in text.splitlines() if row.startswith(f"│ {start} ")]
    return [cell.strip() for cell in found.strip("│").split("│")]


def test_costs_of_every_subject_stand_in_their_scenarios_line():
    text = printed(report(direct=GOOD, nginx=GOOD, ours=GOOD))

    cells = ["1,000", "20,000", "20,000", "1", "50", "50", "10", "2", "4.1", "0"]
    assert line(text, "openai") == ["openai", *cells]
    assert line(text, "openai-stream")[1:4] == ["100,000", "2,000,000", "2,000,000"]


def test_without_nginx_its_cells_say_so():
    cells = line(printed(report(direct=GOOD, ours=GOOD)), "openai")

    assert (cells[2], cells[4], cells[5]) == ("n/a", "n/a", "n/a")


def test_errors_are_counted_and_quoted():
    text = printed(report(direct=GOOD, nginx=GOOD, ours=BAD))

    assert line(text, "openai")[-1] == "7"
    assert "invalid: openai, ours: 7 errors: status 500: [/] oh" in text


def test_figures_stand_beside_their_targets():
    text = printed(report(ours=GOOD))

    assert line(text, "latency")[2:] == ["0.4 ms", "≤ 0.5", "met", "note [bracketed]"]
    assert line(text, "whole")[2:5] == ["0.1 x", "≥ 0.15", "missed"]
    assert line(text, "start")[4:] == ["invalid", "1 lost"]
    assert line(text, "stream")[2:5] == ["n/a", "", ""]
    assert "cores: 2" in text


def test_json_holds_figures_costs_and_every_turn():
    value = json.loads(as_json(report(direct=GOOD, ours=GOOD)))

    assert value["valid"] is False
    assert value["figures"][0]["verdict"] == "met"
    assert value["costs"]["openai"]["ours"]["micros"] == pytest.approx(50)
    assert value["turns"][0]["turns"]["ours"][0]["load"]["requests"] == 1_000
    assert value["facts"] == {"python": "3.11", "cores": 2}


def test_a_report_is_valid_when_no_figure_is_spoilt():
    missed = Report({}, (), (rows.at_most("s", "n", 2.0, 1.0, "s"),))

    assert missed.rows[0].verdict is Verdict.MISSED
    assert missed.valid


def test_a_bound_itself_is_met():
    assert rows.at_most("s", "n", 1.5, 1.5, "s").verdict is Verdict.MET
    assert rows.at_least("s", "n", 0.15, 0.15, "x").verdict is Verdict.MET
    assert rows.at_most("s", "n", None, 1.5, "s").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0.01234, "0.0123"), (12.345, "12.3"), (1234.5, "1,234"), (100, "100")],
)
def test_numbers_have_three_digits_that_matter(value, shown):
    assert number(value) == shown
