"""The tap every reply flows through: it delivers, meters, and settles in its `finally`."""

from collections.abc import AsyncGenerator

from meterway.kit.errors import MeterwayError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Codec, StreamReader
from meterway.relay.answer import Answer
from meterway.relay.record import CallRecord, Outcome
from meterway.relay.till import Hold

_CUT = neutral.Failed(
    message="The upstream's stream ended early; what arrived so far is not the whole reply.",
    kind="api_error",
    status=502,
)


class Reply:
    """A reply on its way to the client: iterate `chunks` once, inside `contextlib.aclosing`.

    A whole reply is a stream of one chunk. What goes wrong upstream after the first byte is told
    inside the stream, in the client's dialect; iteration itself does not raise it.
    """

    __slots__ = ("_abandoned", "_answer", "_codec", "_hold")

    def __init__(self, answer: Answer, hold: Hold, codec: Codec) -> None:
        self._answer = answer
        self._hold = hold
        self._codec = codec
        self._abandoned = False

    @property
    def record(self) -> CallRecord:
        """What is known of the call so far."""
        return self._hold.record

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

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the client's bytes; closed early, it cuts the upstream."""
        hold, rest = self._hold, self._answer.rest
        outcome, error = Outcome.CLIENT_GONE, None
        try:
            hold.record.first_byte = hold.elapsed()
            yield self._answer.first
            if rest is None:
                outcome = Outcome.COMPLETED
            else:
                failure: MeterwayError | None = None
                try:
                    async for chunk in rest.chunks:
                        if data := rest.pipe.feed(chunk):
                            yield data
                    if data := rest.pipe.end():
                        yield data
                except MeterwayError as broken:
                    failure = broken
                outcome, error = _ending(rest.pipe, failure)
                if outcome is Outcome.UPSTREAM_CUT:
                    yield self._codec.encode_failure(_CUT)
        finally:
            if rest is not None:
                await rest.response.close()
            self._settle(outcome, error)

    def _settle(self, outcome: Outcome, error: str | None) -> None:
        record, meter = self._hold.record, self._answer.meter
        record.usage, record.service_tier = meter.usage, meter.service_tier
        record.output_bytes = meter.output_bytes
        gone = self._abandoned and outcome is not Outcome.FAILED
        self._hold.settle(Outcome.CLIENT_GONE if gone else outcome, error=error)


def _ending(pipe: StreamReader, failure: MeterwayError | None) -> tuple[Outcome, str | None]:
    """Tell how a stream ended; what breaks after the dialect's own end changes nothing."""
    if pipe.failure is not None:
        return Outcome.FAILED, pipe.failure.kind
    if pipe.closed:
        return Outcome.COMPLETED, None
    return Outcome.UPSTREAM_CUT, failure.code if failure else "upstream_cut"
