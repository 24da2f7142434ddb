"""Tries routes until one answers: encode, send, accept or refuse, and the next route on failure.

Another route is tried only while nothing reached the client. Between passes over the routes the
wait grows exponentially, or is what the upstream asked for when that is short enough.
"""

from collections.abc import Sequence

import msgspec
import structlog

from meterway.kit import ids
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError
from meterway.protocols.chat.call import Call
from meterway.protocols.errors import CompactedElsewhereError
from meterway.relay.answer import Answer
from meterway.relay.exchange import Exchange
from meterway.relay.record import Attempt, CallRecord
from meterway.routing.health import Health
from meterway.upstreams import failures
from meterway.upstreams.errors import TransportError, UpstreamError
from meterway.upstreams.types import Route

_log = structlog.get_logger()


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long to insist: at most `tries` attempts in all, in at most `rounds` passes.

    Before another pass the wait doubles from `first_wait` seconds; an upstream's `retry-after`
    is honoured up to `longest_wait`, and a longer one is handed to the client instead.
    """

    tries: int = 8
    rounds: int = 2
    first_wait: float = 0.25
    longest_wait: float = 5.0


class Attempts:
    """Makes the attempts of every call of one process."""

    def __init__(
        self, exchange: Exchange, health: Health, clock: Clock, policy: RetryPolicy
    ) -> None:
        self._exchange = exchange
        self._health = health
        self._clock = clock
        self._policy = policy

    async def first(self, call: Call, routes: Sequence[Route], record: CallRecord) -> Answer:
        """Return the first answer that is one; `record` tells of every attempt.

        Raises the last failure where no route answers, or the first that no other can mend; that
        a route could not be asked is told only where none could.
        """
        last: MeterwayError | None = None
        try:
            left = list(routes)
            for round_ in range(self._policy.rounds):
                if round_:
                    left = [route for route in left if not self._health.cooling(route)]
                for route in left:
                    started = self._clock.monotonic()
                    try:
                        with self._health.trial(route):
                            answer = await self._exchange.run(call, route, record)
                    except BaseException as error:
                        self._note_failure(route, error, record, started)
                        if not isinstance(error, MeterwayError) or self._is_final(error, record):
                            raise
                        if last is None or not isinstance(error, CompactedElsewhereError):
                            last = error
                    else:
                        self._health.succeeded(route)
                        seconds = self._clock.monotonic() - started
                        record.attempts.append(_attempt(route, None, seconds))
                        return answer
                assert last is not None, "there is a route, and it failed"
                await self._pause(last, round_)
            assert last is not None, "there is a round"
            raise last
        finally:
            if call.brought is not None:
                self._exchange.free(call)

    def _is_final(self, error: MeterwayError, record: CallRecord) -> bool:
        return not failures.falls_back(error) or len(record.attempts) >= self._policy.tries

    async def _pause(self, last: MeterwayError, round_: int) -> None:
        """Wait before another pass. Raises `last` where another is not worth the wait."""
        wait = last.retry_after or self._policy.first_wait * 2**round_
        final = round_ + 1 >= self._policy.rounds
        if final or not last.retryable or wait > self._policy.longest_wait:
            raise last
        await self._clock.sleep(wait)

    def _note_failure(
        self, route: Route, error: BaseException, record: CallRecord, started: float
    ) -> None:
        """Keep a failed attempt in `record`, and tell the route's circuit and the log of it."""
        if isinstance(error, TransportError):
            _tell(route, error, record)
        elif isinstance(error, UpstreamError):
            error.hide(_secrets(route))
        if isinstance(error, MeterwayError) and failures.cools(error):
            self._health.failed(
                route,
                cool_for=error.retry_after,
                every_model=failures.is_of_credential(error),
            )
        record.attempts.append(_attempt(route, error, self._clock.monotonic() - started))


def _tell(route: Route, error: TransportError, record: CallRecord) -> None:
    """Log what the caller is not shown: where an exchange broke, and how."""
    _log.warning(
        "upstream.unreachable",
        request_id=ids.request_id(record.call_id),
        channel=route.channel.name,
        code=error.code,
        detail=error.message,
    )


def _secrets(route: Route) -> Sequence[str]:
    """Return what a request over `route` carries and nobody else may see."""
    key = [route.credential.secret.strip()] if route.credential else []
    return [*key, *route.channel.headers.values()]


def _attempt(route: Route, failure: BaseException | None, seconds: float) -> Attempt:
    code = status = None
    if isinstance(failure, MeterwayError):
        code = type(failure).code  # the vendor's own code may be anything
    elif failure is not None:
        code = "cancelled"
    if isinstance(failure, UpstreamError):
        status = failure.upstream_status
    return Attempt(
        channel=route.channel.name,
        channel_id=route.channel.id,
        credential=route.credential.id if route.credential else None,
        model=route.model,
        dialect=route.dialect,
        seconds=seconds,
        status=status,
        error=code,
        free=route.channel.provider.local,
    )
