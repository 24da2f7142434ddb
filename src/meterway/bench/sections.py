"""The measurements that are no rounds of load: latency, cold start, open streams, endurance."""

import asyncio

from meterway.bench import processes, rows
from meterway.bench.client import Bounds, held_open, once, run_load
from meterway.bench.measure import CONNECTIONS, SCENARIOS
from meterway.bench.stage import Stage
from meterway.bench.statistics import difference, median
from meterway.bench.types import BenchOptions, Load, Row, Subject

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
WHOLE, STREAM, HELD = _BY_NAME["openai"], _BY_NAME["openai-stream"], _BY_NAME["openai-stream-100k"]
_MB, _KB = 1e6, 1e3


async def latency(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Measure one connection: what the gateway adds to a whole reply and to the first token."""
    whole: dict[Subject, list[Load]] = {subject: [] for subject in stage.subjects}
    first: dict[Subject, list[Load]] = {subject: [] for subject in stage.subjects}
    for _ in range(options.rounds):
        for subject in stage.subjects:
            whole[subject].append(await _alone(stage, subject, options.round_seconds))
            first[subject].append(await _first_tokens(stage, subject, options.round_seconds))
    p50 = {subject: median([load.p50 * 1e3 for load in loads]) for subject, loads in whole.items()}
    p99 = {subject: median([load.p99 * 1e3 for load in loads]) for subject, loads in whole.items()}
    token = {
        subject: median([load.first_p50 * 1e3 for load in loads])
        for subject, loads in first.items()
    }
    direct, nginx, ours = Subject.DIRECT, Subject.NGINX, Subject.OURS
    added, over = p50[ours] - p50[direct], difference(p99[ours], p99.get(nginx))
    found = [
        rows.at_most("latency", "p50 added over direct", added, rows.P50_ADDED_MS, "ms", _all(p50)),
        Row("latency", "p99 added over direct", p99[ours] - p99[direct], "ms", note=_all(p99)),
        rows.at_most("latency", "p99 over nginx's", over, rows.P99_OVER_NGINX_MS, "ms", _all(p99)),
    ]
    complaints = [load.complaint for loads in whole.values() for load in loads]
    found = [rows.spoilt(row, complaints) for row in found]
    added = token[ours] - token[direct]
    name = "time to first token added over direct"
    row = rows.at_most("latency", name, added, rows.FIRST_TOKEN_ADDED_MS, "ms", _all(token))
    complaints = [load.complaint for loads in first.values() for load in loads]
    return (*found, rows.spoilt(row, complaints))


async def cold_start(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Start the gateway on its new data folder, then again, and leave it running."""
    probe = stage.question(Subject.OURS, WHOLE)
    first = await stage.gateway.start(probe)
    again: list[float] = []
    for _ in range(1 if options.quick else 3):
        await stage.gateway.stop()
        again.append(await stage.gateway.start(probe))
    note = f"first start {first:.2f} s; starts {', '.join(f'{seconds:.2f}' for seconds in again)} s"
    name = "second start to first 200"
    return (rows.at_most("start", name, median(again), rows.COLD_START_SECONDS, "s", note),)


async def open_streams(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Restart the gateway, warm it, and measure what each of many open streams holds in memory."""
    count = 250 if options.quick else 1_000
    await stage.gateway.stop()
    await stage.gateway.start(stage.question(Subject.OURS, WHOLE))
    warm = stage.question(Subject.OURS, HELD, pace="brief")
    bounds = Bounds(CONNECTIONS, CONNECTIONS * 4, seconds=20.0, deadline=30.0)
    warmed = await run_load(stage.gateway.address, [warm], bounds)
    before = worker_bytes(stage)
    question = stage.question(Subject.OURS, HELD, pace="held")
    async with held_open(stage.gateway.address, question, count, deadline=60.0) as tally:
        await asyncio.sleep(2.5)
        after = worker_bytes(stage)
        opened, errors, complaint = len(tally.firsts), tally.errors, tally.complaint
    note = f"{opened} streams: {before / _MB:.0f} to {after / _MB:.0f} MB"
    value = (after - before) / opened / _KB if opened else None
    name = f"memory per open stream, {count} of them, 100 KB request bodies"
    row = rows.at_most("memory", name, value, rows.STREAM_KB, "KB", note)
    return (
        rows.spoilt(row, [warmed.complaint, f"{errors} errors: {complaint}" if errors else ""]),
    )


async def soak(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Load the gateway for `seconds` (600 when not said) and see whether its memory grows."""
    seconds = options.seconds or 600.0
    marks: list[int] = []
    complaints: list[str] = []
    question = stage.question(Subject.OURS, WHOLE)
    stream = stage.question(Subject.OURS, STREAM)
    address = stage.gateway.address
    for _ in range(10):
        part = Bounds(CONNECTIONS // 2, 10**9, seconds / 10, seconds / 10 + 30)
        loads = await asyncio.gather(
            run_load(address, [question], part), run_load(address, [stream], part)
        )
        complaints += [load.complaint for load in loads]
        marks.append(worker_bytes(stage))
    growth = (max(marks[-3:]) - max(marks[:3])) / _MB
    note = "MB at every tenth: " + " ".join(f"{mark / _MB:.0f}" for mark in marks)
    name = f"growth of a worker over {seconds:.0f} s"
    row = rows.at_most("soak", name, growth, rows.SOAK_GROWTH_MB, "MB", note)
    return (rows.spoilt(row, complaints),)


def worker_bytes(stage: Stage, field: str = "VmRSS") -> int:
    """Return the resident memory of the gateway's largest worker."""
    family = stage.gateway.family()
    return max((processes.resident_bytes(pid, field) for pid in family.workers), default=0)


async def _alone(stage: Stage, subject: Subject, seconds: float) -> Load:
    """Ask for whole replies on one connection."""
    address, question = stage.address(subject, WHOLE), stage.question(subject, WHOLE)
    check = await once(address, question)
    if check.errors:
        return check
    if stage.wrk is not None:
        return await stage.wrk.run(address, question, connections=1, seconds=seconds)
    return await run_load(address, [question], Bounds(1, 10**9, seconds, seconds + 10))


async def _first_tokens(stage: Stage, subject: Subject, seconds: float) -> Load:
    """Ask for short streams on one connection."""
    address = stage.address(subject, STREAM)
    question = stage.question(subject, STREAM, pace="brief")
    return await run_load(address, [question], Bounds(1, 2_000, seconds / 2, seconds + 10))


def _all(figures: dict[Subject, float]) -> str:
    return ", ".join(f"{subject} {value:.2f}" for subject, value in figures.items()) + " ms"
