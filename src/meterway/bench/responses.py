"""What the Responses API costs over an upstream of chat completions, and what keeping it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import text

from meterway.bench import judge, payloads, rows
from meterway.bench.assembling import assembling
from meterway.bench.client import Ask, ask
from meterway.bench.gateway import Gateway
from meterway.bench.measure import Target, clock_of, turn_at
from meterway.bench.sections import WHOLE
from meterway.bench.stage import Stage, model_of
from meterway.bench.statistics import difference, ratio
from meterway.bench.types import BenchOptions, Dialect, Row, Subject, Turn
from meterway.db.engine import open_engine, reading

_PATH = "/v1/responses"


class Side(StrEnum):
    """What is asked in turns, of one gateway with one worker."""

    PASSED = "chat completions, passed through"
    TOLD = "responses"
    KEPT = "responses, stored"


@dataclass(slots=True)
class Taken:
    """The turns of each side so far, and how many replies said to be stored are not."""

    turns: dict[Side, list[Turn]] = field(default_factory=lambda: {side: [] for side in Side})
    missing: int = 0


async def responses(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Let the sides take turns, then assemble turns of long conversations in this process."""
    taken = Taken()
    sides = tuple(Side)
    for number in range(options.rounds):
        start = number % len(sides)
        for side in sides[start:] + sides[:start]:
            stage.say(f"responses: {side}")
            await take_turn(stage, side, options.round_seconds, taken)
    stage.say("responses: turns of long conversations")
    return (*figures(taken), *await assembling(stage, options))


async def take_turn(stage: Stage, side: Side, seconds: float, taken: Taken) -> None:
    """Let a side work for a while, and compare what was stored with the replies."""
    clock = clock_of(stage, WHOLE, Subject.OURS)
    target = Target(stage.gateway.address, question_of(stage, side), clock)
    if side is not Side.KEPT:
        taken.turns[side].append(await turn_at(stage, target, seconds))
        return
    before = await stored_by(stage.gateway)
    found = await turn_at(stage, target, seconds)
    stored = await stored_by(stage.gateway) - before
    taken.turns[side].append(found)
    taken.missing += max(0, found.load.requests - stored)


def question_of(stage: Stage, side: Side) -> Ask:
    """Return what a side asks: the same messages, led to the same upstream."""
    if side is Side.PASSED:
        return stage.question(Subject.OURS, WHOLE)
    body = payloads.response_body(model_of(WHOLE), store=side is Side.KEPT)
    return ask(stage.gateway.address, Dialect.OPENAI, body, path=_PATH)


async def stored_by(gateway: Gateway) -> int:
    """Return how many responses the gateway's database has."""
    engine = open_engine(f"sqlite:///{gateway.database}")
    try:
        async with reading(engine) as connection:
            found = await connection.execute(text("SELECT count(*) FROM responses"))
            return int(found.scalar_one())
    finally:
        await engine.dispose()


def figures(taken: Taken) -> tuple[Row, ...]:
    """Return the rows of the turns; all of the worker's threads count."""
    passed, told, kept = (_cost(taken.turns[side]) for side in Side)
    to_passed = ratio(told.per_cpu_second, passed.per_cpu_second)
    added = difference(kept.micros, told.micros)
    more = ratio(added, told.micros)
    note = f"per request: passed through {_micros(passed.micros)}, responses {_micros(told.micros)}"
    kept_note = f"per request: {_micros(told.micros)}, stored {_micros(kept.micros)}"
    ratio_row = rows.at_least(
        "responses",
        "over a chat upstream: requests per CPU-second, ratio to pass-through",
        to_passed,
        rows.RESPONSES_RATIO,
        "x",
        note,
    )
    kept_row = rows.at_most(
        "responses",
        "CPU that storing adds to a call",
        None if more is None else more * 100,
        rows.STORING_PER_CENT,
        "%",
        kept_note,
    )
    lost = f"{taken.missing} replies were not stored" if taken.missing else ""
    return (
        rows.spoilt(ratio_row, [passed.complaint, told.complaint]),
        rows.spoilt(kept_row, [lost, told.complaint, kept.complaint]),
    )


def _cost(turns: Sequence[Turn]) -> judge.Cost:
    return judge.cost(turns, stream=False)


def _micros(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f} µs"
