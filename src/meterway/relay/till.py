"""Where a call's account is opened before the upstream works and closed after, exactly once."""

from collections.abc import Callable, Container, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from meterway.auth.types import Principal
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError
from meterway.limits.service import Admission
from meterway.protocols.chat.call import Call
from meterway.relay.billing import Billing, Tab
from meterway.relay.record import CallRecord, Outcome
from meterway.relay.settlement import conclude

Listener: TypeAlias = Callable[[CallRecord], None]


class Hold:
    """One call's open account.

    Used as a context manager around the attempts: an error inside settles the call as failed.
    After that whoever delivers the reply calls `settle` when it ended, however it ended; only
    the first settlement counts.
    """

    __slots__ = ("_clock", "_listeners", "_started", "_tab", "_waived", "admission", "record")

    def __init__(  # noqa: PLR0913, PLR0917 - what a call's account knows
        self,
        record: CallRecord,
        clock: Clock,
        listeners: Sequence[Listener],
        admission: Admission,
        tab: Tab | None = None,
        waived: Container[int] = (),
    ) -> None:
        self.record = record
        self.admission = admission
        self._clock = clock
        self._listeners = listeners
        self._tab = tab
        self._waived = waived
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

    @property
    def billed(self) -> bool:
        """Whether the call has a price."""
        return self._tab is not None

    def elapsed(self) -> float:
        """Seconds since the hold was taken."""
        return self._clock.monotonic() - self._started

    def settle(self, outcome: Outcome, *, error: str | None = None, cut: bool = False) -> None:
        """Close the account: outcome, usage, charge; tell the limits and the listeners.

        `cut` says that the reply did not reach its end, so a usage reported on the way lacks
        some of its output.
        """
        record = self.record
        if record.outcome is not None:
            return
        record.error, record.seconds = error, self.elapsed()
        due = conclude(record, outcome, cut=cut) and record.call_id not in self._waived
        if self._tab is not None:
            self._tab.close(record, due=due)
        admission = self.admission
        if admission.bounds:
            used = record.usage if due else None
            admission.end(used.total_input + used.total_output if used else 0)
        for listener in self._listeners:
            listener(record)


class Till:
    """Opens a hold for every call and reports each settlement.

    Without `billing` nothing is priced, held or charged. `listeners` are told of each ended call,
    in order, synchronously; they must be quick.
    """

    def __init__(
        self, clock: Clock, listeners: Sequence[Listener] = (), billing: Billing | None = None
    ) -> None:
        self._clock = clock
        self._listeners = tuple(listeners)
        self._billing = billing
        self._waived: set[int] = set()

    def waive(self, call_id: int) -> None:
        """Charge nobody for what this run of a call came to: it will run again."""
        self._waived.add(call_id)

    async def hold(self, call: Call, caller: Principal, admission: Admission) -> Hold:
        """Open the account of `call`, billed to `caller`; its end ends `admission`.

        Raises what `Billing.open` raises.
        """
        facts = call.facts
        record = CallRecord(
            call_id=call.id,
            key_id=caller.key_id,
            user_id=caller.user_id,
            model=facts.model,
            dialect=call.codec.dialect,
            stream=facts.stream,
            began=self._clock.now(),
            billing=call.billing,
            attempts=[],
        )
        tab, billing = None, self._billing
        if billing is not None:
            try:
                tab = billing.at_once(call, caller, record)
                if tab is None:
                    tab = await billing.open(call, caller, record)
            except BaseException:
                admission.release()
                raise
        return Hold(record, self._clock, self._listeners, admission, tab, self._waived)
