"""What happens to the record of an ended call: it is counted, and written to the log."""

from functools import cache

import structlog
from prometheus_client import Counter, Histogram

from meterway.kit import metrics
from meterway.kit.ids import request_id
from meterway.relay.record import CallRecord

_log = structlog.get_logger()
_NONE = "none"


@cache
def _calls(dialect: str, model: str, channel: str, outcome: str) -> Counter:
    return metrics.CALLS.labels(dialect, model, channel, outcome)


@cache
def _seconds(dialect: str, *, stream: bool) -> tuple[Histogram, Histogram]:
    labels = (dialect, "true" if stream else "false")
    return metrics.CALL_SECONDS.labels(*labels), metrics.FIRST_BYTE_SECONDS.labels(*labels)


@cache
def _tokens(model: str) -> tuple[Counter, Counter]:
    return metrics.TOKENS.labels(model, "input"), metrics.TOKENS.labels(model, "output")


@cache
def _attempts(channel: str, result: str) -> Counter:
    return metrics.ATTEMPTS.labels(channel, result)


def count(record: CallRecord) -> None:
    """Add an ended call to the figures.

    Models are named as the upstream knows them, and only when one answered: names come from
    callers, and every new one would be a figure kept for ever.
    """
    last = record.attempts[-1] if record.attempts else None
    model, channel = (last.model, last.channel) if last else (_NONE, _NONE)
    _calls(record.dialect, model, channel, record.outcome or _NONE).inc()
    whole, first = _seconds(record.dialect, stream=record.stream)
    whole.observe(record.seconds)
    if record.first_byte is not None:
        first.observe(record.first_byte)
    if record.usage is not None:
        tokens_in, tokens_out = _tokens(model)
        tokens_in.inc(record.usage.total_input)
        tokens_out.inc(record.usage.total_output)
    for attempt in record.attempts:
        _attempts(attempt.channel, attempt.error or "ok").inc()


def write(record: CallRecord) -> None:
    """Write one event for an ended call; nothing of what was said is in it."""
    usage = record.usage
    _log.info(
        "call.ended",
        request_id=request_id(record.call_id),
        key_id=record.key_id,
        dialect=record.dialect,
        model=record.model,
        stream=record.stream,
        outcome=record.outcome,
        error=record.error,
        channel=record.attempts[-1].channel if record.attempts else None,
        attempts=len(record.attempts),
        input_tokens=usage.total_input if usage else None,
        output_tokens=usage.total_output if usage else None,
        first_byte=record.first_byte,
        seconds=round(record.seconds, 4),
    )
