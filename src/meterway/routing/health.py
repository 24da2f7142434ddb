"""Which credentials of which channels may be tried now: cooldown after failures, then one probe.

A circuit breaker for each (channel, credential). It is closed while calls succeed, open (cooling)
after `threshold` failures in a row or at once when the upstream named a time, and half-open when
that time is over: one call may probe, and its outcome closes or re-opens the circuit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from meterway.kit.clock import Clock
from meterway.upstreams.types import Route


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens and for how long: seconds double from `first` up to `longest`."""

    threshold: int = 3
    first: float = 5.0
    longest: float = 300.0


class _Circuit(msgspec.Struct):
    failures: int = 0
    opened: int = 0
    until: float = 0.0
    probing: bool = False


class Health:
    """The circuits of one process. Times are seconds of the clock's monotonic time."""

    def __init__(self, clock: Clock, breaker: Breaker = Breaker()) -> None:  # noqa: B008 - frozen
        self._clock = clock
        self._breaker = breaker
        self._circuits: dict[tuple[int, str], _Circuit] = {}

    def cooling(self, route: Route) -> float:
        """Seconds until `route` may be tried; 0 when it may be tried now."""
        circuit = self._circuits.get(_key(route))
        if circuit is None or not circuit.opened:
            return 0.0
        left = circuit.until - self._clock.monotonic()
        if left <= 0 and circuit.probing:
            return self._breaker.first
        return max(left, 0.0)

    @contextmanager
    def trial(self, route: Route) -> Iterator[None]:
        """Claim the probe of a half-open circuit for the time of one attempt."""
        circuit = self._circuits.get(_key(route))
        if circuit is None or not circuit.opened:
            yield
            return
        circuit.probing = True
        try:
            yield
        finally:
            circuit.probing = False

    def succeeded(self, route: Route) -> None:
        """Close the circuit: the upstream answered as it should."""
        if self._circuits:
            self._circuits.pop(_key(route), None)

    def failed(self, route: Route, *, cool_for: float | None = None) -> None:
        """Count a failure; open the circuit at once for `cool_for` seconds where that is given."""
        circuit = self._circuits.setdefault(_key(route), _Circuit())
        circuit.failures += 1
        if cool_for is None and circuit.failures < self._breaker.threshold and not circuit.opened:
            return
        longest = self._breaker.longest
        growing = min(self._breaker.first * 2 ** min(circuit.opened, 16), longest)
        circuit.until = self._clock.monotonic() + min(cool_for or growing, longest)
        circuit.opened += 1

    def forget(self, channels: set[int]) -> None:
        """Drop what is known of channels not in `channels` (removed or replaced)."""
        for key in [key for key in self._circuits if key[0] not in channels]:
            del self._circuits[key]


def _key(route: Route) -> tuple[int, str]:
    return route.channel.id, route.credential.id if route.credential else ""
