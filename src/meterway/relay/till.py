"""Where a call's account is opened before the upstream works and closed after, exactly once."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from meterway.auth.types import Principal
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError
from meterway.protocols.chat.call import Call
from meterway.relay.errors import InsufficientBalanceError
from meterway.relay.record import CallRecord, Outcome
from meterway.relay.settlement import conclude

Listener: TypeAlias = Callable[[CallRecord], None]

_EMPTY = "This account is prepaid and has no balance. Its operator can serve it as postpaid."


class Hold:
    """One call's open account.

    Used as a context manager around the attempts: an error inside settles the call as failed.
    After that whoever delivers the reply calls `settle` when it ended, however it ended; only
    the first settlement counts.
    """

    __slots__ = ("_clock", "_listeners", "_started", "record")

    def __init__(self, record: CallRecord, clock: Clock, listeners: Sequence[Listener]) -> None:
        self.record = record
        self._clock = clock
        self._listeners = listeners
        self._started = clock.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            if not isinstance(error, Exception):  # cancelled: the client left
                self.settle(Outcome.CLIENT_GONE)
                return
            code = error.code if isinstance(error, MeterwayError) else type(error).__name__
            self.settle(Outcome.FAILED, error=code)

    def elapsed(self) -> float:
        """Seconds since the hold was taken."""
        return self._clock.monotonic() - self._started

    def settle(self, outcome: Outcome, *, error: str | None = None, cut: bool = False) -> None:
        """Close the account: fix the outcome, label the usage, and tell the listeners.

        `cut` says that the reply did not reach its end, so a usage reported on the way lacks
        some of its output.
        """
        record = self.record
        if record.outcome is not None:
            return
        record.error, record.seconds = error, self.elapsed()
        conclude(record, outcome, cut=cut)
        for listener in self._listeners:
            listener(record)


class Till:
    """Opens a hold for every call and reports each settlement.

    Only postpaid accounts can be served so far: a prepaid one has no way to get a balance, so its
    calls are refused as they would be with an empty one.

    `listeners` are told of each ended call, in order, synchronously; they must be quick.
    """

    def __init__(self, clock: Clock, listeners: Sequence[Listener] = ()) -> None:
        self._clock = clock
        self._listeners = tuple(listeners)

    def hold(self, call: Call, caller: Principal) -> Hold:
        """Open the account of `call`, billed to `caller`. Raises `InsufficientBalanceError`."""
        if not caller.postpaid:
            raise InsufficientBalanceError(_EMPTY)
        facts = call.facts
        record = CallRecord(
            call_id=call.id,
            key_id=caller.key_id,
            user_id=caller.user_id,
            model=facts.model,
            dialect=call.codec.dialect,
            stream=facts.stream,
            began=self._clock.now(),
            attempts=[],
        )
        return Hold(record, self._clock, self._listeners)
