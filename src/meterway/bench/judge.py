"""From rounds of load to figures: processor time per request or chunk, ratios, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meterway.bench import rows
from meterway.bench.statistics import median, ratio
from meterway.bench.types import Result, Row, Size, Subject, Turn


@dataclass(frozen=True, slots=True)
class Cost:
    """What a subject needed in a scenario, medians over the rounds.

    Args:
        micros: Processor time per request, or per chunk of a stream, in microseconds.
        aside_micros: The same of the processes that are not on the path.
        per_cpu_second: Requests, or chunks, for one second of processor time.
        wall_rate: Requests, or chunks, per second of wall time.
        busy: The part of one core that was used.
        errors: Of all rounds together.
        complaint: The first of them in words.
    """

    micros: float | None
    aside_micros: float
    per_cpu_second: float | None
    wall_rate: float
    busy: float
    errors: int
    complaint: str


def cost(turns: Sequence[Turn], *, stream: bool) -> Cost:
    """Return the cost over all turns of a subject; without a good reply there is none."""
    counted = [(turn, turn.load.tokens if stream else turn.load.requests) for turn in turns]
    good = [(turn, units) for turn, units in counted if units and turn.cpu > 0]
    errors = sum(turn.load.errors for turn in turns)
    complaint = next((turn.load.complaint for turn in turns if turn.load.complaint), "")
    if not good:
        return Cost(None, 0.0, None, 0.0, 0.0, errors, complaint or "nothing was measured")
    micros = median([turn.cpu / units * 1e6 for turn, units in good])
    return Cost(
        micros=micros,
        aside_micros=median([sum(turn.aside.values()) / units * 1e6 for turn, units in good]),
        per_cpu_second=1e6 / micros,
        wall_rate=median([units / turn.load.seconds for turn, units in good]),
        busy=median([turn.cpu / turn.load.seconds for turn, _ in good]),
        errors=errors,
        complaint=complaint,
    )


def costs(result: Result) -> dict[Subject, Cost]:
    """Return the cost of every subject in a scenario."""
    stream = result.scenario.stream
    return {subject: cost(turns, stream=stream) for subject, turns in result.turns.items()}


def to_nginx(table: Mapping[Subject, Cost]) -> float | None:
    """Return our work per processor second as a part of nginx's, where both were measured."""
    if Subject.NGINX not in table or Subject.OURS not in table:
        return None
    return ratio(table[Subject.OURS].per_cpu_second, table[Subject.NGINX].per_cpu_second)


def verdicts(results: Sequence[Result]) -> tuple[Row, ...]:
    """Return the figures that have a target, for all scenarios that were run."""
    found: list[Row] = []
    for result in results:
        table = costs(result)
        complaints = [table[subject].complaint for subject in table]
        found.extend(rows.spoilt(row, complaints) for row in _rows(result, table, results))
    return tuple(found)


def _rows(result: Result, table: Mapping[Subject, Cost], results: Sequence[Result]) -> list[Row]:
    scenario = result.scenario
    if scenario.stream:
        return [_stream_row(result, table), _chunks_row(result)]
    if scenario.translated:
        return [_translated_row(result, table, results)]
    if scenario.request is Size.SMALL and scenario.reply is Size.SMALL and not scenario.tls:
        name = f"{scenario.name}: requests per CPU-second, ratio to nginx"
        return [rows.at_least("whole", name, to_nginx(table), rows.PASS_THROUGH_RATIO, "x")]
    return []


def _stream_row(result: Result, table: Mapping[Subject, Cost]) -> Row:
    scenario = result.scenario
    limit = rows.TRANSLATED_STREAM_RATIO if scenario.translated else rows.STREAM_RATIO
    ours = to_nginx(table)
    name = f"{scenario.name}: CPU per chunk, times nginx's"
    return rows.at_most("stream", name, None if ours is None else 1 / ours, limit, "x")


def _chunks_row(result: Result) -> Row:
    """Return which part of the chunks came as reads of their own: all, when nothing gathers."""
    loads = [turn.load for turn in result.turns.get(Subject.OURS, ())]
    seen, arrivals = sum(load.tokens for load in loads), sum(load.arrivals for load in loads)
    share = arrivals / seen * 100 if seen else None
    note = f"{seen} chunks seen in {arrivals} reads"
    return Row("stream", f"{result.scenario.name}: chunks that came alone", share, "%", note=note)


def _translated_row(
    result: Result, table: Mapping[Subject, Cost], results: Sequence[Result]
) -> Row:
    """Return a translated scenario beside the same client's pass-through."""
    mine = result.scenario
    plain = next((other for other in results if _is_plain(other, result)), None)
    passed = costs(plain).get(Subject.OURS) if plain else None
    value = None
    if passed is not None and Subject.OURS in table:
        value = ratio(table[Subject.OURS].per_cpu_second, passed.per_cpu_second)
    beside = plain.scenario.name if plain else "its pass-through, which was not run"
    name = f"{mine.name}: requests per CPU-second, ratio to {beside}"
    row = rows.at_least("whole", name, value, rows.TRANSLATED_RATIO, "x")
    return row if passed is None else rows.spoilt(row, [passed.complaint])


def _is_plain(other: Result, translated: Result) -> bool:
    """Whether `other` is the same call without translation.

    At 100 KB pass-through is measured in one dialect only: it costs the same in both.
    """
    mine, its = translated.scenario, other.scenario
    alike = (its.request, its.reply, its.tls, its.stream) == (
        mine.request,
        mine.reply,
        mine.tls,
        mine.stream,
    )
    return alike and not its.translated and (its.client is mine.client or its.request is Size.LARGE)
