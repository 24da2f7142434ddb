"""The tap every reply flows through: it delivers, meters, and settles in its `finally`."""

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from meterway.kit.errors import MeterwayError
from meterway.limits.types import Standings
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import ClientCodec, StreamReader
from meterway.relay.answer import Answer
from meterway.relay.record import CallRecord, Outcome
from meterway.relay.till import Hold

_CUT = neutral.Failed(
    message="The upstream's stream ended early; what arrived so far is not the whole reply.",
    kind="api_error",
    status=502,
)


class Reply:
    """A reply on its way to the client; delivered inside its own `async with`.

    A whole reply is a stream of one chunk: `first` is there at once, `rest` tells what follows.
    What goes wrong upstream after the first byte is told inside the stream, in the client's
    dialect. Leaving the block frees the upstream and settles the hold, however it is left, where
    `settle` did not do it before.
    """

    __slots__ = ("_abandoned", "_answer", "_codec", "_error", "_hold", "_outcome", "first")

    def __init__(self, answer: Answer, hold: Hold, codec: ClientCodec) -> None:
        self.first = answer.first
        self._answer = answer
        self._hold = hold
        self._codec = codec
        self._abandoned = False
        self._outcome: Outcome | None = None
        self._error: str | None = None

    @property
    def record(self) -> CallRecord:
        """What is known of the call so far."""
        return self._hold.record

    @property
    def standings(self) -> Standings | None:
        """What was left of the caller's limits once the call was admitted; None without any."""
        admission = self._hold.admission
        return admission.standings() if admission.bounds else None

    @property
    def billed(self) -> bool:
        """Whether the call has a price, and will have a receipt."""
        return self._hold.billed

    @property
    def streamed(self) -> bool:
        """Whether the client asked for a stream."""
        return self._hold.record.stream

    @property
    def provider(self) -> str:
        """The name of the provider row that answers."""
        return self._answer.route.channel.provider.name

    def abandon(self) -> None:
        """Note that the client left; what still comes is read for the bill alone."""
        self._abandoned = True

    async def __aenter__(self) -> Self:
        self._hold.record.first_byte = self._hold.elapsed()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        rest = self._answer.rest
        try:
            if rest is not None:
                await rest.response.close()
        finally:
            self._settle()

    def settle(self) -> None:
        """Close the call's account.

        To be called once the whole reply is there, before its last byte leaves: who has all of
        it is charged, whatever happens to us then.
        """
        if self._answer.rest is None:
            self._outcome = Outcome.COMPLETED
        self._settle()

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """Yield what follows the first bytes, as it comes; nothing where they were all."""
        rest = self._answer.rest
        if rest is None:
            self._outcome = Outcome.COMPLETED
            return
        failure: MeterwayError | None = None
        try:
            async for chunk in rest.chunks:
                if data := rest.pipe.feed(chunk):
                    yield data
            if data := rest.pipe.end():
                yield data
        except MeterwayError as broken:
            failure = broken
        self._outcome, self._error = _ending(rest.pipe, failure)
        if self._outcome is Outcome.UPSTREAM_CUT:
            yield self._codec.encode_failure(_CUT)

    def _settle(self) -> None:
        record, meter = self._hold.record, self._answer.meter
        if record.outcome is not None:
            return  # what was settled is still to be written down
        record.usage, record.service_tier = meter.usage, meter.service_tier
        record.output_bytes = meter.output_bytes
        outcome = self._outcome or Outcome.CLIENT_GONE
        if self._abandoned and outcome is not Outcome.FAILED:
            outcome = Outcome.CLIENT_GONE
        rest = self._answer.rest
        cut = rest is not None and not rest.pipe.closed
        self._hold.settle(outcome, error=self._error, cut=cut)


def _ending(pipe: StreamReader, failure: MeterwayError | None) -> tuple[Outcome, str | None]:
    """Tell how a stream ended; what breaks after the dialect's own end changes nothing."""
    if pipe.failure is not None:
        return Outcome.FAILED, pipe.failure.kind
    if pipe.closed:
        return Outcome.COMPLETED, None
    return Outcome.UPSTREAM_CUT, failure.code if failure else "upstream_cut"
