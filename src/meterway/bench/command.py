"""The benchmark from options to report, and the click command that runs it."""

import asyncio
import contextlib
import functools
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import click
import uvloop
from rich.console import Console

from meterway.bench import judge, processes, rows
from meterway.bench.calibration import loops_per_second
from meterway.bench.counting import counting
from meterway.bench.errors import BenchError
from meterway.bench.ledger import ledger
from meterway.bench.measure import SCENARIOS, measure
from meterway.bench.money import money
from meterway.bench.report import as_json, render
from meterway.bench.responses import responses
from meterway.bench.sections import HELD, STREAM, WHOLE, cold_start, latency, open_streams, soak
from meterway.bench.sections import worker_bytes as resident
from meterway.bench.stage import Stage, set_up
from meterway.bench.types import BenchOptions, Report, Result, Row, Say, Scenario, Verdict
from meterway.kit.errors import MeterwayError

Section = Callable[[Stage, BenchOptions], Awaitable[tuple[Row, ...]]]

_AFTER: dict[str, Section] = {
    "latency": latency,
    "open-streams": open_streams,
    "count-tokens": counting,
    "soak": soak,
    "responses": responses,
    "money": money,
    "ledger": ledger,
}
_LONG = frozenset({"soak"})
_NOT_QUICK = _LONG | {"ledger"}
_TABLE_WIDTH = 170  # narrower, figures would be cut
NAMES = (*(scenario.name for scenario in SCENARIOS), "start", *_AFTER)
"""What `--only` may name."""


def run(options: BenchOptions, say: Say = lambda _: None) -> Report:
    """Measure everything the options ask for, and clean up whatever happens.

    Args:
        options: What to run, and for how long.
        say: Is told what is being measured at the moment.

    Raises:
        BenchError: It could not be set up, was stopped by a signal, or an unknown name was asked.
    """
    if sys.platform != "linux":
        raise BenchError("meterway bench reads /proc and pins processes to cores: it needs Linux")
    unknown = set(options.only) - set(NAMES)
    if unknown:
        raise BenchError(
            f"nothing is called {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}"
        )
    try:
        report = uvloop.run(_bench(options, say))
    except asyncio.CancelledError as error:
        raise BenchError("the benchmark was told to stop before its end") from error
    if options.json_file is not None:
        options.json_file.write_bytes(as_json(report))
    return report


def chosen_scenarios(options: BenchOptions) -> tuple[Scenario, ...]:
    """Return the scenarios to run: those named, else all, or the quick ones."""
    if options.only:
        return tuple(scenario for scenario in SCENARIOS if scenario.name in options.only)
    return tuple(scenario for scenario in SCENARIOS if scenario.quick or not options.quick)


def chosen_sections(options: BenchOptions) -> tuple[str, ...]:
    """Return the sections to run after the scenarios: those named, else all that are not long."""
    if options.only:
        return tuple(name for name in _AFTER if name in options.only)
    left_out = _NOT_QUICK if options.quick else _LONG
    return tuple(name for name in _AFTER if name not in left_out)


async def _bench(options: BenchOptions, say: Say) -> Report:
    """Set the stage, measure, leave nothing behind; a termination signal ends it like Ctrl-C."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="meterway-bench-") as folder:
        say("starting upstreams")
        async with set_up(Path(folder), options.command, say) as stage:
            with processes.pinned(stage.cores.load):
                return await _measured(stage, options)


async def _measured(stage: Stage, options: BenchOptions) -> Report:
    calibrations = [_calibrated(stage)]
    scenarios, sections = chosen_scenarios(options), chosen_sections(options)
    stage.say("creating the gateway's data folder and channels")
    await stage.open_gateway({*scenarios, WHOLE, STREAM, HELD})
    stage.say("starting the gateway twice")
    figures = [*await cold_start(stage, options)]
    results: list[Result] = []
    marks: list[tuple[int, int]] = []
    for scenario in scenarios:
        stage.say(scenario.name)
        try:
            sample = functools.partial(_mark, stage, marks)
            results.append(await measure(stage, scenario, options, sample))
        except MeterwayError as error:
            figures.append(_failure(scenario.name, error))
    figures += judge.verdicts(results)
    if marks:
        figures.append(_memory_row(marks))
    for name in sections:
        stage.say(name)
        try:
            figures += await _AFTER[name](stage, options)
        except MeterwayError as error:
            figures.append(_failure(name, error))
    calibrations.append(_calibrated(stage))
    return Report(_facts(stage, options, calibrations), tuple(results), tuple(figures))


def _calibrated(stage: Stage) -> float:
    with processes.pinned(stage.cores.measured):
        return loops_per_second()


def _mark(stage: Stage, marks: list[tuple[int, int]]) -> None:
    marks.append((resident(stage), resident(stage, "VmHWM")))


def _failure(name: str, error: MeterwayError) -> Row:
    """Return the row of something that could not be measured; the rest goes on."""
    return Row(name, "could not be measured", None, "", verdict=Verdict.INVALID, note=error.message)


def _memory_row(marks: Sequence[tuple[int, int]]) -> Row:
    """Return the most a worker ever held during the rounds of load."""
    first, last = marks[0][0] / 1e6, marks[-1][0] / 1e6
    peak = max(most for _, most in marks) / 1e6
    note = f"its peak; after the first turn {first:.0f}, after the last {last:.0f} MB"
    name = "RSS of a worker under load"
    return rows.at_most("memory", name, peak, rows.WORKER_MB, "MB", note)


def _facts(
    stage: Stage, options: BenchOptions, calibrations: Iterable[float]
) -> dict[str, str | int | float]:
    before, after = calibrations
    load_cores, core = sorted(stage.cores.load), sorted(stage.cores.measured)
    return {
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "measured core": str(core),
        "load on cores": f"{load_cores} (shared with what is measured)"
        if stage.cores.shared
        else str(load_cores),
        "upstream": "nginx; streams by our own" if stage.proxy else "our own",
        "proxy compared with": "nginx"
        if stage.proxy
        else "none: nginx is not installed, ratios are n/a",
        "load generator": "wrk; streams by our own" if stage.wrk else "our own",
        "billing": "off but in `money`, as in figures from before there was any",
        "rounds": f"{options.rounds} of {options.round_seconds:g} s each",
        "calibration before, million steps per CPU-second": round(before, 2),
        "calibration after, million steps per CPU-second": round(after, 2),
    }


def _processor() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        return next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            "unknown",
        )
    return "unknown"


@click.command("bench")
@click.option("--quick", is_flag=True, help="Fewer scenarios and shorter rounds: about a minute.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Run only this; may be repeated. One of: {', '.join(NAMES)}.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    help="Length of one round; of `soak`, its whole length.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report here as JSON.",
)
def bench_command(
    *, quick: bool, only: tuple[str, ...], seconds: float | None, json_file: Path | None
) -> None:
    """Measure the gateway beside nginx and the bare upstream, on one core."""
    options = BenchOptions(quick=quick, only=only, seconds=seconds, json_file=json_file)
    progress = Console(stderr=True)
    try:
        report = run(
            options, say=lambda what: progress.print(f"· {what}", style="dim", highlight=False)
        )
    except BenchError as error:
        raise click.ClickException(error.message) from error
    screen = Console()
    render(report, Console(width=max(screen.width, _TABLE_WIDTH)))
    if not report.valid:
        raise click.exceptions.Exit(1)
