"""What metering costs: the same route with everything on, with less, and through nginx."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

import msgspec

from meterway.bench import judge, rows
from meterway.bench.errors import BenchError
from meterway.bench.gateway import UNBILLED, Gateway
from meterway.bench.measure import turn
from meterway.bench.sections import WHOLE
from meterway.bench.settling import settling
from meterway.bench.stage import Stage, free_port, model_of
from meterway.bench.statistics import difference, ratio
from meterway.bench.types import BenchOptions, Row, Subject, Turn
from meterway.db.engine import open_engine, reading
from meterway.ledger.charges import service as charges

_CUSTOMER, _DOLLARS = "customer@example.org", "1000000"
_QUIET_SECONDS = 0.5  # longer than the settler pauses
_PATIENCE_SECONDS = 60.0


class Side(StrEnum):
    """Who takes turns."""

    NGINX = "nginx"
    OFF = "billing off"
    LIMITED = "billing off, limits on"
    ON = "everything on"


def settings_of(side: Side) -> Mapping[str, str]:
    """Return a gateway's settings: limits that count and never refuse, or nothing to count."""
    if side is Side.OFF:
        return UNBILLED | {"METERWAY_LIMITS": _limits(rate=0, at_once=0)}
    counting = {"METERWAY_LIMITS": _limits(rate=1_000_000_000, at_once=60_000)}
    return UNBILLED | counting if side is Side.LIMITED else counting


def _limits(*, rate: int, at_once: int) -> str:
    tier = {"rpm": rate, "tpm": rate, "concurrency": at_once}
    return msgspec.json.encode({"normal": tier}).decode()


@dataclass(slots=True)
class Taken:
    """The turns of each side so far, and how many calls lack their charge."""

    turns: dict[Side, list[Turn]] = field(default_factory=lambda: {side: [] for side in Side})
    missing: int = 0


async def money(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Make a customer in the same data folder, let the sides take turns, and settle by itself."""
    await stage.gateway.stop()
    await stage.gateway.set_price(model_of(WHOLE), read="2", written="10")
    key = await stage.gateway.add_customer(_CUSTOMER, _DOLLARS)
    taken = Taken()
    sides = tuple(side for side in Side if stage.proxy or side is not Side.NGINX)
    for number in range(options.rounds):
        start = number % len(sides)
        for side in sides[start:] + sides[:start]:
            stage.say(f"money: {side}")
            await take_turn(stage, side, key, options.round_seconds, taken)
    stage.say("money: hold and settle in one process")
    return (*figures(taken), *await settling(stage, options))


async def take_turn(stage: Stage, side: Side, key: str, seconds: float, taken: Taken) -> None:
    """Let a side work for a while; a gateway is started for it and stopped."""
    if side is Side.NGINX:
        taken.turns[side].append(await turn(stage, WHOLE, Subject.NGINX, seconds))
        return
    gateway = replace(stage.gateway, port=free_port(), key=key, settings=settings_of(side))
    own = replace(stage, gateway=gateway)
    try:
        await gateway.start(own.question(Subject.OURS, WHOLE))
        await turn(own, WHOLE, Subject.OURS, seconds / 4)  # a started process is slow at first
        if side is Side.ON:
            taken.turns[side].append(await _billed_turn(own, seconds, taken))
        else:
            taken.turns[side].append(await turn(own, WHOLE, Subject.OURS, seconds))
    finally:
        await gateway.stop()


async def _billed_turn(stage: Stage, seconds: float, taken: Taken) -> Turn:
    """Measure until the last call is posted, and compare the charges with the replies."""
    settled = partial(all_posted, stage.gateway)
    await settled()
    before = await posted_by(stage.gateway)
    found = await turn(stage, WHOLE, Subject.OURS, seconds, settled)
    posted = await posted_by(stage.gateway) - before
    taken.missing += max(0, found.load.requests - posted)
    return found


async def all_posted(gateway: Gateway, quiet: float = _QUIET_SECONDS) -> None:
    """Return when the settler has had nothing to post for so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_SECONDS
    before, now = -1, await posted_by(gateway)
    while now != before:
        if loop.time() > deadline:
            raise BenchError(f"charges were still posted {_PATIENCE_SECONDS:.0f} s after the load")
        await asyncio.sleep(quiet)
        before, now = now, await posted_by(gateway)


async def posted_by(gateway: Gateway) -> int:
    """Return how many charges the gateway's database has."""
    engine = open_engine(f"sqlite:///{gateway.database}")
    try:
        async with reading(engine) as connection:
            return await charges.count(connection)
    finally:
        await engine.dispose()


def figures(taken: Taken) -> tuple[Row, ...]:
    """Return the rows of the turns; the settler's processor time counts for everything on."""
    turns = taken.turns
    nginx, off, limited, on = (_cost(turns[side]) for side in Side)
    whole = _cost([_with_settler(one) for one in turns[Side.ON]])
    settler = difference(whole.micros, on.micros)
    added = difference(on.micros, off.micros)
    note = (
        f"per request: off {_micros(off.micros)}, on {_micros(on.micros)} in the worker "
        f"and {_micros(settler)} in the settler"
    )
    beside = f"nginx {_micros(nginx.micros)}, everything on {_micros(whole.micros)} per request"
    name = "everything on: requests per CPU-second, ratio to"
    to_off = ratio(whole.per_cpu_second, off.per_cpu_second)
    to_limited = ratio(whole.per_cpu_second, limited.per_cpu_second)
    to_nginx = ratio(whole.per_cpu_second, nginx.per_cpu_second)
    found = (
        rows.at_least("money", f"{name} billing off", to_off, rows.BILLED_RATIO, "x", note),
        rows.at_least("money", f"{name} nginx", to_nginx, rows.BILLED_TO_NGINX_RATIO, "x", beside),
        Row("money", f"{name} {Side.LIMITED}", to_limited, "x", note=_micros(limited.micros)),
        Row("money", "everything on: added in the worker", added, "µs"),
    )
    lost = f"{taken.missing} replies have no charge" if taken.missing else ""
    complaints = [one.load.complaint for side in Side for one in turns[side]]
    return tuple(rows.spoilt(row, [lost, *complaints]) for row in found)


def _cost(turns: Sequence[Turn]) -> judge.Cost:
    return judge.cost(turns, stream=False)


def _with_settler(one: Turn) -> Turn:
    return replace(one, cpu=one.cpu + one.aside.get("backstage", 0.0))


def _micros(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f} µs"
