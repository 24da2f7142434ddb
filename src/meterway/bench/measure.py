"""Rounds of load on every subject in turn, with the processor time each of them took."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from meterway.bench import processes
from meterway.bench.client import Address, Ask, Bounds, once, run_load
from meterway.bench.stage import Stage
from meterway.bench.types import BenchOptions, Dialect, Load, Result, Scenario, Size, Subject, Turn
from meterway.bench.upstream import PACES

CONNECTIONS = 64
_OPENAI, _ANTHROPIC = Dialect.OPENAI, Dialect.ANTHROPIC
_LARGE = Size.LARGE

SCENARIOS = (
    Scenario("openai", _OPENAI, _OPENAI, quick=True),
    Scenario("openai-100k", _OPENAI, _OPENAI, request=_LARGE, quick=True),
    Scenario("openai-tls", _OPENAI, _OPENAI, tls=True, quick=True),
    Scenario("openai-100k-tls", _OPENAI, _OPENAI, request=_LARGE, tls=True),
    Scenario("openai-reply-100k", _OPENAI, _OPENAI, reply=_LARGE),
    Scenario("anthropic", _ANTHROPIC, _ANTHROPIC, quick=True),
    Scenario("anthropic-to-openai", _ANTHROPIC, _OPENAI, quick=True),
    Scenario("anthropic-to-openai-100k", _ANTHROPIC, _OPENAI, request=_LARGE),
    Scenario("openai-to-anthropic", _OPENAI, _ANTHROPIC),
    Scenario("openai-stream", _OPENAI, _OPENAI, stream=True, quick=True),
    Scenario("openai-stream-100k", _OPENAI, _OPENAI, request=_LARGE, stream=True),
    Scenario("openai-stream-tls", _OPENAI, _OPENAI, tls=True, stream=True),
    Scenario("anthropic-stream", _ANTHROPIC, _ANTHROPIC, stream=True),
    Scenario("anthropic-to-openai-stream", _ANTHROPIC, _OPENAI, stream=True, quick=True),
    Scenario("openai-to-anthropic-stream", _OPENAI, _ANTHROPIC, stream=True),
)
"""What is measured at 64 connections; "X-to-Y" is a client of X led to an upstream of Y."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The processes whose time a turn takes note of: those measured, and others by name."""

    pids: tuple[int, ...]
    aside: Mapping[str, int]

    def read(self) -> tuple[float, dict[str, float]]:
        """Return processor seconds so far."""
        return (
            sum(processes.cpu_seconds(pid) for pid in self.pids),
            {name: processes.cpu_seconds(pid) for name, pid in self.aside.items()},
        )


async def measure(
    stage: Stage, scenario: Scenario, options: BenchOptions, sample: Callable[[], None]
) -> Result:
    """Let every subject take its turn, round by round, and call `sample` after each of ours."""
    turns: dict[Subject, list[Turn]] = {subject: [] for subject in stage.subjects}
    for number in range(options.rounds):
        start = number % len(stage.subjects)
        for subject in stage.subjects[start:] + stage.subjects[:start]:
            turns[subject].append(await turn(stage, scenario, subject, options.round_seconds))
            if subject is Subject.OURS:
                sample()
    return Result(scenario, {subject: tuple(taken) for subject, taken in turns.items()})


async def _at_once() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked what, and whose processor time it takes."""

    address: Address
    question: Ask
    clock: Clock


async def turn(
    stage: Stage,
    scenario: Scenario,
    subject: Subject,
    seconds: float,
    settled: Callable[[], Awaitable[None]] = _at_once,
) -> Turn:
    """Let a subject take its turn in a scenario, as `turn_at` does."""
    address, question = stage.address(subject, scenario), stage.question(subject, scenario)
    clock = clock_of(stage, scenario, subject)
    return await turn_at(stage, Target(address, question, clock), seconds, settled)


async def turn_at(
    stage: Stage,
    target: Target,
    seconds: float,
    settled: Callable[[], Awaitable[None]] = _at_once,
) -> Turn:
    """Check one reply, warm the connections up, and measure.

    The clock is read when `settled` returns: no work of the load before is left then.
    """
    address, question = target.address, target.question
    check = await once(address, question)
    if check.errors:
        return Turn(check, 0.0)
    if not question.tokens:
        await run_load(address, [question], Bounds(CONNECTIONS, 1_000, seconds=0.2, deadline=5.0))
    await settled()
    cpu, aside = target.clock.read()
    load = await _load(stage, target, seconds)
    await settled()
    cpu_after, aside_after = target.clock.read()
    return Turn(
        load, cpu_after - cpu, {name: aside_after[name] - spent for name, spent in aside.items()}
    )


async def _load(stage: Stage, target: Target, seconds: float) -> Load:
    address, question = target.address, target.question
    if question.tokens:
        pace = PACES[b"paced"]
        streams = CONNECTIONS * max(1, round(seconds / (pace.chunks * pace.interval)))
        return await run_load(
            address, [question], Bounds(CONNECTIONS, streams, seconds * 10 + 30, seconds * 10 + 30)
        )
    if stage.wrk is not None:
        return await stage.wrk.run(address, question, connections=CONNECTIONS, seconds=seconds)
    return await run_load(address, [question], Bounds(CONNECTIONS, 10**9, seconds, seconds + 10))


def clock_of(stage: Stage, scenario: Scenario, subject: Subject) -> Clock:
    """Return which processes answer for a subject."""
    if subject is Subject.OURS:
        family = stage.gateway.family()
        return Clock(family.workers, family.aside)
    if subject is Subject.NGINX and stage.proxy is not None:
        return Clock((stage.proxy[1],), {})
    return Clock((stage.upstream_pids[1 if scenario.stream else 0],), {})
