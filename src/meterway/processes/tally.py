"""What happens to the record of an ended call: it is counted, and written to the log.

Every call passes here, so nothing happens at its end but that its record is kept; a moment later
all that came together are counted and written at once, while the code for it is warm.
"""

import asyncio
import sys
from collections import Counter as Sums
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Literal, TypeAlias

import msgspec
import structlog

from meterway.kit import metrics
from meterway.kit.ids import request_id
from meterway.kit.metrics import Durations
from meterway.relay.record import CallRecord

_log = structlog.get_logger()
_NONE, _OTHER = "none", "other"
_MODELS = 500  # beyond that many names, which callers may choose, models are counted together
_DELAY = 0.2  # seconds
_MOST = 256  # records kept before that
_ADDED = frozenset({"event", "level", "process", "timestamp"})  # the ordinary log adds its own


Write: TypeAlias = Callable[[Sequence[CallRecord]], None]


class EndedCalls:
    """Keeps ended calls for up to 0.2 s, then counts and writes them; `flush` does so at once.

    What `kill -9` finds here is lost: log lines and figures, never money.
    """

    def __init__(self, figures: "Figures", write: Write) -> None:
        self._figures = figures
        self._write = write
        self._records: list[CallRecord] = []

    def __call__(self, record: CallRecord) -> None:
        """Take an ended call. Needs a running event loop."""
        self._records.append(record)
        if len(self._records) == 1:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        elif len(self._records) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Count and write what was kept."""
        records, self._records = self._records, []
        if not records:
            return
        try:
            self._write(records)
        finally:
            self._figures.add(records)


class Figures:
    """Adds ended calls to the figures of `/metrics`; models are named as the upstream does."""

    def __init__(self) -> None:
        self._calls: Sums[tuple[str, str, str, str]] = Sums()
        self._tokens: Sums[tuple[str, str]] = Sums()
        self._attempts: Sums[tuple[str, str]] = Sums()
        self._timings: dict[tuple[str, bool], tuple[Durations, Durations]] = {}
        self._models: set[str] = set()

    def add(self, records: Sequence[CallRecord]) -> None:
        """Add up `records` and tell the registry."""
        for record in records:
            self._sum(record)
        self._tell()

    def _sum(self, record: CallRecord) -> None:
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

    def _tell(self) -> None:
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
    usage_source: str | None
    first_byte: float | None
    seconds: float


def call_log(
    level: Literal["debug", "info", "warning", "error"],
    *,
    as_json: bool,
    process: str,
    out: IO[bytes] | None = None,
) -> Write:
    """Return what writes an event for each ended call, in the form and from the level of the log.

    JSON lines go to `out`, which is standard error by default.
    """
    if level not in {"debug", "info"}:
        return _nothing
    if not as_json:
        return _told
    to, encode = out or sys.stderr.buffer, msgspec.json.Encoder().encode_lines

    def write(records: Sequence[CallRecord]) -> None:
        to.write(encode([_event(record, process) for record in records]))
        to.flush()

    return write


def _told(records: Sequence[CallRecord]) -> None:
    for record in records:
        facts = msgspec.structs.asdict(_event(record, ""))
        kept = {name: value for name, value in facts.items() if name not in _ADDED}
        _log.info(facts["event"], **kept)


def _nothing(records: Sequence[CallRecord]) -> None:
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
        usage_source=record.usage_source if usage else None,
        first_byte=record.first_byte,
        seconds=record.seconds,
    )


@lru_cache(maxsize=4)
def _second(epoch: int) -> str:
    """Return a whole second of UTC as ISO 8601; calls that end together share it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")
