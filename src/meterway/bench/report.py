"""The report as tables for people and as JSON for everything else."""

from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from meterway.bench.judge import Cost, costs, to_nginx
from meterway.bench.types import Report, Result, Row, Subject, Verdict

_STYLES = {
    Verdict.MET: "green",
    Verdict.MISSED: "red",
    Verdict.INVALID: "bold red",
    Verdict.UNKNOWN: "dim",
}


def render(report: Report, console: Console) -> None:
    """Print the facts of the machine, the costs scenario by scenario, and the figures."""
    for name, value in report.facts.items():
        console.print(f"{name}: {value}", highlight=False)
    for stream, title in ((False, "Whole replies"), (True, "Streams")):
        results = [result for result in report.results if result.scenario.stream is stream]
        if results:
            console.print(_cost_table(title, results, "chunk" if stream else "request"))
    if report.rows:
        console.print(_figure_table(report.rows))
    for line in _complaints(report.results):
        console.print(line, style="red", highlight=False, markup=False)


def as_json(report: Report) -> bytes:
    """Return the whole report, every turn included, as indented JSON."""
    summary = {result.scenario.name: costs(result) for result in report.results}
    value = {
        "valid": report.valid,
        "facts": report.facts,
        "figures": report.rows,
        "costs": summary,
        "turns": report.results,
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def number(value: float | None) -> str:
    """Return three significant digits, thousands set apart."""
    if value is None:
        return "n/a"
    if abs(value) >= 100:  # noqa: PLR2004 - from here on the third digit is a whole one
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cost_table(title: str, results: Sequence[Result], unit: str) -> Table:
    table = Table(title=f"{title}, 64 connections (CPU on one core; medians of rounds)")
    table.add_column("scenario", no_wrap=True)
    for heading in (
        f"direct\n{unit}s/s",
        f"nginx\n{unit}s/CPU-s",
        f"ours\n{unit}s/CPU-s",
        "ours /\nnginx",
        f"nginx µs\nper {unit}",
        f"ours µs\nper {unit}",
        "aside\nµs",
        "p50 ms\nours",
        "p99 ms\nours",
        "errors",
    ):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(*_cost_cells(result))
    return table


def _cost_cells(result: Result) -> list[str]:
    table = costs(result)
    direct, nginx, ours = (table.get(subject) for subject in Subject)
    loads = [turn.load for turn in result.turns.get(Subject.OURS, ())]
    middle = sorted(loads, key=lambda load: load.p99)[len(loads) // 2] if loads else None
    return [
        result.scenario.name,
        number(direct.wall_rate if direct else None),
        number(nginx.per_cpu_second if nginx else None),
        number(ours.per_cpu_second if ours else None),
        number(to_nginx(table)),
        number(nginx.micros if nginx else None),
        number(ours.micros if ours else None),
        number(ours.aside_micros if ours else None),
        number(middle.p50 * 1e3 if middle else None),
        number(middle.p99 * 1e3 if middle else None),
        _errors(table.values()),
    ]


def _errors(found: Iterable[Cost]) -> str:
    total = sum(cost.errors for cost in found)
    return f"[bold red]{total}[/]" if total else "0"


def _figure_table(found: Sequence[Row]) -> Table:
    table = Table(title="Figures and their targets")
    table.add_column("section", no_wrap=True)
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in found:
        value = f"{number(row.value)} {row.unit}" if row.value is not None else "n/a"
        judged = row.target or row.verdict is Verdict.INVALID
        verdict = f"[{_STYLES[row.verdict]}]{row.verdict}[/]" if judged else ""
        table.add_row(row.section, row.name, value, row.target, verdict, escape(row.note))
    return table


def _complaints(results: Iterable[Result]) -> list[str]:
    """Return one line for every subject that answered wrongly."""
    return [
        f"invalid: {result.scenario.name}, {subject}: {spent.errors} errors: {spent.complaint}"
        for result in results
        for subject, spent in costs(result).items()
        if spent.complaint
    ]
