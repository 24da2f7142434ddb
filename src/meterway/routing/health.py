"""Which routes may be tried now: cooldown after failures, then one probe.

A circuit breaker for each (channel, credential, model), and one for each (channel, credential):
a busy model must not rest its neighbours, a refused credential must. A circuit is closed while
calls succeed, open (cooling) after `threshold` failures in a row or at once when the upstream named
a time, and half-open when that time is over: one call may probe, and its outcome decides.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

import msgspec

from meterway.kit.clock import Clock
from meterway.upstreams.types import Route

_KEPT = 4096
_NOTHING_TO_CLAIM = nullcontext()
_Key: TypeAlias = tuple[int, str, str | None]


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
    """The circuits of one process. Times are seconds of the clock's monotonic time.

    Only failures make circuits; of more than `_KEPT` the oldest are forgotten, since callers
    choose the models' names.
    """

    def __init__(self, clock: Clock, breaker: Breaker = Breaker()) -> None:  # noqa: B008 - frozen
        self._clock = clock
        self._breaker = breaker
        self._circuits: dict[_Key, _Circuit] = {}

    @property
    def troubled(self) -> bool:
        """Whether any route failed lately; where none did, nothing else need be asked."""
        return bool(self._circuits)

    def cooling(self, route: Route) -> float:
        """Seconds until `route` may be tried; 0 when it may be tried now."""
        if not self._circuits:
            return 0.0
        return max(self._left(key) for key in _keys(route))

    def _left(self, key: _Key) -> float:
        circuit = self._circuits.get(key)
        if circuit is None or not circuit.opened:
            return 0.0
        left = circuit.until - self._clock.monotonic()
        if left <= 0 and circuit.probing:
            return self._breaker.first
        return max(left, 0.0)

    def trial(self, route: Route) -> AbstractContextManager[None]:
        """Claim the probes of half-open circuits for the time of one attempt."""
        return self._probe(route) if self._circuits else _NOTHING_TO_CLAIM

    @contextmanager
    def _probe(self, route: Route) -> Iterator[None]:
        found = [circuit for key in _keys(route) if (circuit := self._circuits.get(key))]
        for circuit in found:
            circuit.probing = True
        try:
            yield
        finally:
            for circuit in found:
                circuit.probing = False

    def succeeded(self, route: Route) -> None:
        """Close the circuits: the upstream answered as it should."""
        if self._circuits:
            for key in _keys(route):
                self._circuits.pop(key, None)

    def failed(
        self, route: Route, *, cool_for: float | None = None, every_model: bool = False
    ) -> None:
        """Count a failure; open the circuit at once for `cool_for` seconds where that is given.

        `every_model` says that the failure is the credential's, whatever model was asked for.
        Nothing is counted for a provider that never rests.
        """
        if not route.channel.provider.rests:
            return
        circuit = self._circuit(_keys(route)[every_model])
        circuit.failures += 1
        if cool_for is None and circuit.failures < self._breaker.threshold and not circuit.opened:
            return
        longest = self._breaker.longest
        growing = min(self._breaker.first * 2 ** min(circuit.opened, 16), longest)
        circuit.until = self._clock.monotonic() + min(cool_for or growing, longest)
        circuit.opened += 1

    def _circuit(self, key: _Key) -> _Circuit:
        while len(self._circuits) >= _KEPT and key not in self._circuits:
            del self._circuits[next(iter(self._circuits))]
        return self._circuits.setdefault(key, _Circuit())

    def forget(self, channels: set[int]) -> None:
        """Drop what is known of channels that are not among `channels` any more."""
        for key in [key for key in self._circuits if key[0] not in channels]:
            del self._circuits[key]


def _keys(route: Route) -> tuple[_Key, _Key]:
    """Return the keys of the model's circuit and of the credential's."""
    channel, credential = route.channel.id, route.credential.id if route.credential else ""
    return (channel, credential, route.model), (channel, credential, None)
