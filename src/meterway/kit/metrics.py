"""Every figure the product counts about itself, summed over all processes of a machine.

With `PROMETHEUS_MULTIPROC_DIR` in the environment each process counts in memory-mapped files of
that folder, named by `name_process` rather than by process id, so that a process started in the
place of a dead one goes on where that one stopped. The folder is read when this module is first
imported. Fetch a labelled child once and keep it where a figure moves on every call: looking it
up costs more than counting.
"""

import os
from bisect import bisect_left
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
PARENT = "parent"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_process = [PARENT]
if FOLDER in os.environ:
    values.ValueClass = values.MultiProcessValue(lambda: _process[0])  # type: ignore[no-untyped-call]  # prometheus-client leaves it bare
disable_created_metrics()  # type: ignore[no-untyped-call]  # same

CALLS = Counter(
    "meterway_calls",
    "Paid calls that ended, by the channel that answered and how they ended.",
    ("dialect", "model", "channel", "outcome"),
)
CALL_SECONDS = Histogram(
    "meterway_call_seconds",
    "Time from a call's admission to its end.",
    ("dialect", "stream"),
    buckets=_SECONDS,
)
FIRST_BYTE_SECONDS = Histogram(
    "meterway_first_byte_seconds",
    "Time from a call's admission to the first byte for the client.",
    ("dialect", "stream"),
    buckets=_SECONDS,
)
TOKENS = Counter("meterway_tokens", "Tokens of ended calls.", ("model", "kind"))
ATTEMPTS = Counter(
    "meterway_upstream_attempts",
    "Tries at an upstream, by what came of them.",
    ("channel", "result"),
)
REFUSALS = Counter(
    "meterway_refusals", "Requests answered with an error of the gateway.", ("status", "code")
)
OPEN_REQUESTS = Gauge(
    "meterway_open_requests", "Requests being served.", multiprocess_mode="livesum"
)
CONNECTIONS = Gauge("meterway_connections", "Client connections open.", multiprocess_mode="livesum")
HELD_BYTES = Gauge(
    "meterway_held_bytes", "Request bytes held in memory.", multiprocess_mode="livesum"
)
POSTED_CALLS = Counter("meterway_posted_calls", "Calls whose charge is in the books.")
BROKEN_INVARIANTS = Gauge(
    "meterway_broken_invariants",
    "What must always hold in the books, and does not; anything but 0 is an alarm.",
    multiprocess_mode="livemax",
)
RESIDENT_BYTES = Gauge(
    "meterway_resident_bytes", "Memory of each process.", multiprocess_mode="liveall"
)


class Durations:
    """Adds up seconds for one labelled histogram and tells it in bulk, by `flush`.

    `Histogram.observe` costs as much as a tenth of a whole call; a bisection costs little.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds: list[float] = histogram._upper_bounds  # noqa: SLF001 - no public way in bulk
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        """Tell the histogram what came together."""
        for bucket, number in zip(self._histogram._buckets, self._counts, strict=True):  # noqa: SLF001 - see above
            if number:
                bucket.inc(number)
        self._histogram._sum.inc(self._sum)  # noqa: SLF001 - see above
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0


def name_process(name: str) -> None:
    """Count under `name` from now on; no two living processes may share one."""
    _process[0] = name


def exposition() -> bytes:
    """Return all figures in Prometheus' text format, of every process where they share a folder."""
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # same
    return generate_latest(registry)


def forget_gauges(folder: Path, name: str) -> None:
    """Drop what the dead process `name` last measured; its counters stay."""
    for file in folder.glob(f"gauge_live*_{name}.db"):
        file.unlink(missing_ok=True)
