"""What happens to the record of an ended call: it is counted, and written to the log.

Every call passes here, so both work in bulk: figures are added up in memory and told to the
registry once a second, log lines are written together.
"""

import asyncio
import sys
from collections import Counter as Sums
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec
import structlog

from meterway.kit import metrics
from meterway.kit.ids import request_id
from meterway.kit.lines import Lines
from meterway.kit.metrics import Durations
from meterway.relay.record import CallRecord

_log = structlog.get_logger()
_NONE, _OTHER = "none", "other"
_MODELS = 500  # beyond that many names, which callers may choose, models are counted together
_PERIOD = 1.0
_ADDED = frozenset({"level", "process", "timestamp"})  # the ordinary log adds its own


class Figures:
    """Adds up ended calls for `/metrics`; `flush` tells the registry, by itself once a second."""

    def __init__(self) -> None:
        self._calls: Sums[tuple[str, str, str, str]] = Sums()
        self._tokens: Sums[tuple[str, str]] = Sums()
        self._attempts: Sums[tuple[str, str]] = Sums()
        self._timings: dict[tuple[str, bool], tuple[Durations, Durations]] = {}
        self._models: set[str] = set()
        self._pending = False

    def __call__(self, record: CallRecord) -> None:
        """Add an ended call. Models are named as the upstream knows them."""
        last = record.attempts[-1] if record.attempts else None
        model = self._named(last.model) if last else _NONE
        channel = last.channel if last else _NONE
        self._calls[record.dialect, model, channel, record.outcome or _NONE] += 1
        whole, first = self._timing(record.dialect, stream=record.stream)
        whole.add(record.seconds)
        if record.stream and record.first_byte is not None:
            first.add(record.first_byte)
        if record.usage is not None:
            self._tokens[model, "input"] += record.usage.total_input
            self._tokens[model, "output"] += record.usage.total_output
        for attempt in record.attempts:
            self._attempts[attempt.channel, attempt.error or "ok"] += 1
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(_PERIOD, self.flush)

    def flush(self) -> None:
        """Tell the registry what came together."""
        self._pending = False
        for call, number in self._calls.items():
            metrics.CALLS.labels(*call).inc(number)
        for tokens, number in self._tokens.items():
            metrics.TOKENS.labels(*tokens).inc(number)
        for attempts, number in self._attempts.items():
            metrics.ATTEMPTS.labels(*attempts).inc(number)
        for timing in self._timings.values():
            for durations in timing:
                durations.flush()
        for sums in (self._calls, self._tokens, self._attempts):
            sums.clear()

    def _named(self, model: str) -> str:
        if model in self._models:
            return model
        if len(self._models) >= _MODELS:
            return _OTHER
        self._models.add(model)
        return model

    def _timing(self, dialect: str, *, stream: bool) -> tuple[Durations, Durations]:
        found = self._timings.get((dialect, stream))
        if found is None:
            labels = (dialect, "true" if stream else "false")
            found = (
                Durations(metrics.CALL_SECONDS.labels(*labels)),
                Durations(metrics.FIRST_BYTE_SECONDS.labels(*labels)),
            )
            self._timings[dialect, stream] = found
        return found


class CallEnded(msgspec.Struct, kw_only=True):
    """The log event of an ended call; nothing of what was said is in it. Times in seconds."""

    event: str = "call.ended"
    level: str = "info"
    process: str
    timestamp: str
    request_id: str
    key_id: int
    dialect: str
    model: str
    stream: bool
    outcome: str | None
    error: str | None
    channel: str | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    first_byte: float | None
    seconds: float


def call_log(
    level: Literal["debug", "info", "warning", "error"], *, as_json: bool, process: str
) -> Callable[[CallRecord], None]:
    """Return what writes one event for an ended call, in the form and from the level of the log."""
    if level not in {"debug", "info"}:
        return _nothing
    if not as_json:
        return _told
    lines, encode = Lines(sys.stderr.buffer), msgspec.json.Encoder().encode

    def write(record: CallRecord) -> None:
        lines.add(encode(_event(record, process)))

    return write


def _told(record: CallRecord) -> None:
    facts = msgspec.structs.asdict(_event(record, ""))
    _log.info(facts.pop("event"), **{name: facts[name] for name in facts if name not in _ADDED})


def _nothing(record: CallRecord) -> None:
    """Write nothing: the log's level is above the event's."""


def _event(record: CallRecord, process: str) -> CallEnded:
    usage, attempts = record.usage, record.attempts
    second, rest = divmod(record.began + record.seconds, 1.0)
    return CallEnded(
        process=process,
        timestamp=f"{_second(int(second))}.{int(rest * 1000):03d}Z",
        request_id=request_id(record.call_id),
        key_id=record.key_id,
        dialect=record.dialect,
        model=record.model,
        stream=record.stream,
        outcome=record.outcome,
        error=record.error,
        channel=attempts[-1].channel if attempts else None,
        attempts=len(attempts),
        input_tokens=usage.total_input if usage else None,
        output_tokens=usage.total_output if usage else None,
        first_byte=record.first_byte,
        seconds=record.seconds,
    )


@lru_cache(maxsize=4)
def _second(epoch: int) -> str:
    """Return a whole second of UTC as ISO 8601; calls that end together share it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")
