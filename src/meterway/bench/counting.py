"""How long `/v1/messages/count_tokens` takes for an agent's 100 KB bodies, cold and warm."""

import asyncio

from meterway.bench import payloads, processes, rows
from meterway.bench.client import Ask, Bounds, ask, once, run_load
from meterway.bench.sections import WHOLE
from meterway.bench.stage import Stage
from meterway.bench.statistics import median
from meterway.bench.types import BenchOptions, Dialect, Row, Subject

_PATH = "/v1/messages/count_tokens"
_MODEL = "claude-3-opus-20240229"
_AT_ONCE = 50
_VOLLEYS = 10


async def counting(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Count cold bodies beside other calls, then fifty warm ones at once.

    The gateway may use all cores meanwhile, as it does when deployed: its counter is a process of
    its own.
    """
    family = stage.gateway.family()
    pids = (*family.workers, *family.aside.values())
    for pid in pids:
        processes.release(pid, stage.cores.measured | stage.cores.load)
    try:
        cold = await _cold(stage, 2 if options.quick else 4)
        warm = await _warm(stage)
    finally:
        for pid in pids:
            processes.release(pid, stage.cores.measured)
    return (*cold, *warm)


async def _cold(stage: Stage, bodies: int) -> tuple[Row, ...]:
    """Count bodies never seen before, one by one, while another client chats."""
    chat, address = stage.question(Subject.OURS, WHOLE), stage.gateway.address
    calm = await run_load(address, [chat], Bounds(1, 10**9, seconds=1.0, deadline=11.0))
    spent: list[float] = []
    complaints = [calm.complaint]
    moved: list[float] = []
    for seed in range(bodies):
        question = _ask(stage, payloads.cold_count_body(_MODEL, 5_000 * (seed + 1)))
        beside, counted = await asyncio.gather(
            run_load(address, [chat], Bounds(1, 10**9, seconds=1.0, deadline=11.0)),
            once(address, question),
        )
        complaints += [beside.complaint, counted.complaint]
        spent.append(counted.p50)
        moved.append(beside.p99)
    note = "each: " + " ".join(f"{seconds:.3f}" for seconds in spent) + " s"
    shift = (max(moved) - calm.p99) * 1e3
    beside_note = f"calm {calm.p99 * 1e3:.2f} ms, at worst {max(moved) * 1e3:.2f} ms"
    found = (
        rows.at_most(
            "count_tokens", "100 KB cold, slowest", max(spent), rows.COUNT_COLD_SECONDS, "s", note
        ),
        rows.at_most(
            "count_tokens",
            "p99 of other calls moved by it",
            shift,
            rows.COUNT_NEIGHBOUR_MS,
            "ms",
            beside_note,
        ),
    )
    return tuple(rows.spoilt(row, complaints) for row in found)


async def _warm(stage: Stage) -> tuple[Row, ...]:
    """Count fifty bodies at once, as editors do: seen before, then with a new last message each.

    A volley's p99 is its slowest count; the figure is the median of the volleys.
    """
    address = stage.gateway.address
    seen = [_ask(stage, payloads.count_body(_MODEL, f"Seen {n}.")) for n in range(_AT_ONCE)]
    fresh = [_ask(stage, payloads.count_body(_MODEL, f"New {n}.")) for n in range(_AT_ONCE)]
    first = await run_load(address, seen, Bounds(4, _AT_ONCE, seconds=30.0, deadline=40.0))
    volley = Bounds(_AT_ONCE, _AT_ONCE, seconds=30.0, deadline=40.0)
    warm = [await run_load(address, seen, volley) for _ in range(_VOLLEYS)]
    new = await run_load(address, fresh, volley)
    p99 = median([load.p99 * 1e3 for load in warm])
    p50 = median([load.p50 * 1e3 for load in warm])
    note = f"p50 {p50:.1f} ms; medians of {_VOLLEYS} volleys"
    name = f"{_AT_ONCE} concurrent, warm, p99"
    row = rows.at_most("count_tokens", name, p99, rows.COUNT_WARM_P99_MS, "ms", note)
    name = f"{_AT_ONCE} concurrent, a new last message each, p99"
    other = Row("count_tokens", name, new.p99 * 1e3, "ms", note=f"p50 {new.p50 * 1e3:.1f} ms")
    return (
        rows.spoilt(row, [first.complaint, *(load.complaint for load in warm)]),
        rows.spoilt(other, [new.complaint]),
    )


def _ask(stage: Stage, body: bytes) -> Ask:
    return ask(stage.gateway.address, Dialect.ANTHROPIC, body, path=_PATH)
