"""What is counted and logged of ended calls."""

import io
import json
import re

import pytest
import structlog

from meterway.kit import metrics
from meterway.processes.tally import EndedCalls, Figures, call_log
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage
from meterway.relay.record import Attempt, CallRecord, Outcome


def _record(model: str = "m", *, stream: bool = False, error: str | None = None) -> CallRecord:
    attempt = Attempt(
        channel="up",
        channel_id=1,
        credential="a",
        model=model,
        dialect=Dialect.OPENAI_CHAT,
        seconds=0.2,
        error=error,
    )
    return CallRecord(
        call_id=255,
        key_id=7,
        user_id=3,
        model="asked",
        dialect=Dialect.OPENAI_CHAT,
        stream=stream,
        began=1_800_000_000.25,
        attempts=[attempt],
        usage=Usage(input=5, cache_read=1, output=2),
        outcome=Outcome.FAILED if error else Outcome.COMPLETED,
        first_byte=0.06,
        seconds=0.25,
    )


def _figure(line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_calls_tokens_and_attempts_add_up():
    figures = Figures()
    call = (
        'meterway_calls_total{channel="up",dialect="openai_chat",model="adds",outcome="completed"}'
    )
    tokens = 'meterway_tokens_total{kind="input",model="adds"}'
    attempts = 'meterway_upstream_attempts_total{channel="up",result="boom"}'
    before = _figure(call), _figure(tokens), _figure(attempts)

    figures.add([_record("adds"), _record("adds")])
    figures.add([_record("adds", error="boom")])

    after = _figure(call), _figure(tokens), _figure(attempts)
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 18, 1]


async def test_flushing_twice_counts_and_writes_once():
    written: list[CallRecord] = []
    ended = EndedCalls(Figures(), written.extend)
    call = (
        'meterway_calls_total{channel="up",dialect="openai_chat",model="once",outcome="completed"}'
    )

    ended(_record("once"))
    ended.flush()
    ended.flush()

    assert _figure(call) == 1
    assert len(written) == 1


async def test_a_flood_is_told_before_the_moment_is_over():
    written: list[CallRecord] = []
    ended = EndedCalls(Figures(), written.extend)

    for _ in range(1000):
        ended(_record("flood"))

    assert len(written) == 768


async def test_figures_that_fail_cost_no_line_of_the_log():
    class BrokenFigures(Figures):
        def add(self, records):
            raise OverflowError

    written: list[CallRecord] = []
    ended = EndedCalls(BrokenFigures(), written.extend)
    ended(_record())

    with pytest.raises(OverflowError):
        ended.flush()

    assert len(written) == 1


async def test_durations_land_in_the_buckets_observe_would_use():
    labels = 'dialect="openai_chat",{}stream="true"'
    bucket = "meterway_first_byte_seconds_bucket{" + labels.format('le="0.1",') + "}"
    lower = "meterway_first_byte_seconds_bucket{" + labels.format('le="0.05",') + "}"
    total = "meterway_first_byte_seconds_sum{" + labels.format("") + "}"
    before = _figure(bucket), _figure(lower), _figure(total)
    figures = Figures()

    figures.add([_record(stream=True)])

    assert _figure(bucket) - before[0] == 1
    assert _figure(lower) - before[1] == 0
    assert _figure(total) - before[2] == pytest.approx(0.06)


async def test_names_that_callers_make_up_are_counted_together():
    figures = Figures()

    figures.add([_record(f"made-up-{number}") for number in range(700)])

    exposition = metrics.exposition().decode()
    assert 'model="made-up-499"' in exposition
    assert 'model="made-up-500"' not in exposition
    assert 'model="other"' in exposition


def test_a_json_line_tells_of_the_call_and_nothing_of_what_was_said():
    out = io.BytesIO()
    log = call_log("info", as_json=True, process="worker-0", out=out)

    log([_record(), _record()])

    line, _ = [json.loads(line) for line in out.getvalue().splitlines()]
    assert line["event"] == "call.ended"
    assert line["timestamp"] == "2027-01-15T08:00:00.500Z"
    assert (line["request_id"], line["input_tokens"]) == ("req_00000000000000ff", 6)
    assert line["process"] == "worker-0"
    assert line["usage_source"] == "reported"


def test_a_text_log_gets_the_same_event():
    with structlog.testing.capture_logs() as events:
        call_log("info", as_json=False, process="worker-0")([_record()])

    (event,) = events
    assert event["event"] == "call.ended"
    assert event["outcome"] == "completed"


def test_a_log_for_warnings_alone_leaves_ended_calls_out():
    with structlog.testing.capture_logs() as events:
        call_log("warning", as_json=False, process="worker-0")([_record()])

    assert events == []
