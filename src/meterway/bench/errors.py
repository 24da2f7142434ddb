"""What may go wrong with a benchmark itself, apart from what it measures."""

from meterway.kit.errors import MeterwayError


class BenchError(MeterwayError):
    """The benchmark could not be set up or carried through."""

    code = "bench_failed"
