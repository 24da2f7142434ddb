"""Whether the process lives, and whether it should get traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from meterway.edge.http import JSON_TYPE, Receive, Scope, Send, request_of, send_reply
from meterway.kit import json
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError

Check = Callable[[], Awaitable[None]]
_FRESH_SECONDS = 1.0
_CHECK_SECONDS = 2.0
_ALIVE = b'{"status":"ok"}'
_NO_STORE = (b"cache-control", b"no-store")


async def alive(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200 and touch nothing."""
    del receive
    await send_reply(send, 200, [*request_of(scope).head, JSON_TYPE, _NO_STORE], _ALIVE)


class Readiness:
    """Answers 200 when traffic is welcome, else 503 saying which check failed.

    `checks` raise where something is wrong. A verdict is kept for a second, so that probes cost
    the database nothing. `draining` is set when the process is asked to end.
    """

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self.draining = False
        self._checks = checks
        self._clock = clock
        self._verdict: dict[str, str] = {}
        self._until = -1.0
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one probe."""
        del receive
        verdict = {} if self.draining else await self._judged()
        good = not self.draining and all(word == "ok" for word in verdict.values())
        status = "draining" if self.draining else "ready" if good else "not_ready"
        body = json.encode({"status": status, "checks": verdict})
        headers = [*request_of(scope).head, JSON_TYPE, _NO_STORE]
        await send_reply(send, 200 if good else 503, headers, body)

    async def _judged(self) -> dict[str, str]:
        async with self._lock:
            if self._clock.monotonic() >= self._until:
                names, checks = self._checks.keys(), self._checks.values()
                words = await asyncio.gather(*(_judge(check) for check in checks))
                self._verdict = dict(zip(names, words, strict=True))
                self._until = self._clock.monotonic() + _FRESH_SECONDS
            return self._verdict


async def _judge(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except TimeoutError:
        return "no answer in time"
    except MeterwayError as error:
        return error.message
    return "ok"
