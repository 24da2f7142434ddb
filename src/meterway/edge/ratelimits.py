"""What is left of a caller's limits, as headers in its own dialect.

OpenAI: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, times as Go
writes durations. Anthropic: https://docs.anthropic.com/en/api/rate-limits#response-headers, times
by RFC 3339. They are always the caller's own limits, never those of an upstream's account. The
platform's API has `retry-after` alone.
"""

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias, assert_never

from meterway.edge.http import Headers
from meterway.limits.types import Standing, Standings
from meterway.protocols.dialects import Dialect

_ROUNDING = 1e-6  # milliseconds that floats may be off
_Names: TypeAlias = tuple[bytes, bytes, bytes]


def _anthropics(name: bytes) -> _Names:
    prefix = b"anthropic-ratelimit-" + name
    return prefix + b"-limit", prefix + b"-remaining", prefix + b"-reset"


def _openais(name: bytes) -> _Names:
    prefix = b"x-ratelimit-"
    return prefix + b"limit-" + name, prefix + b"remaining-" + name, prefix + b"reset-" + name


_OPENAI_REQUESTS, _OPENAI_TOKENS = _openais(b"requests"), _openais(b"tokens")
_ANTHROPIC_REQUESTS = _anthropics(b"requests")
# Our limit counts both kinds of tokens.
_ANTHROPIC_TOKENS = tuple(map(_anthropics, (b"tokens", b"input-tokens", b"output-tokens")))


def headers_of(standings: Standings, dialect: Dialect | None) -> list[tuple[bytes, bytes]]:
    """Return the headers for a reply; a limit the caller does not have has none."""
    requests, tokens = standings.requests, standings.tokens
    headers: list[tuple[bytes, bytes]] = []
    match dialect:
        case None:
            pass
        case Dialect.OPENAI_CHAT:
            if requests is not None:
                headers += _told(_OPENAI_REQUESTS, requests, duration(requests.reset))
            if tokens is not None:
                headers += _told(_OPENAI_TOKENS, tokens, duration(tokens.reset))
        case Dialect.ANTHROPIC_MESSAGES:
            if requests is not None:
                reset = moment(standings.at + requests.reset)
                headers += _told(_ANTHROPIC_REQUESTS, requests, reset)
            if tokens is not None:
                reset = moment(standings.at + tokens.reset)
                for names in _ANTHROPIC_TOKENS:
                    headers += _told(names, tokens, reset)
        case _:
            assert_never(dialect)
    return headers


def _told(names: _Names, standing: Standing, reset: bytes) -> Headers:
    limit, remaining, renewed = names
    return (
        (limit, b"%d" % standing.limit),
        (remaining, b"%d" % standing.remaining),
        (renewed, reset),
    )


def duration(seconds: float) -> bytes:
    """Write a time as OpenAI does, never too short: `20ms`, `1s`, `1.5s`, `6m0s`, `1h2m3s`."""
    milliseconds = math.ceil(seconds * 1000 - _ROUNDING)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return b"%dms" % milliseconds
    whole, rest = divmod(milliseconds, 1000)
    text = (b"%d.%03d" % (whole % 60, rest)).rstrip(b"0") if rest else b"%d" % (whole % 60)
    if whole < 60:  # noqa: PLR2004 - a minute
        return text + b"s"
    hours, minutes = divmod(whole // 60, 60)
    return b"%dh%dm%ss" % (hours, minutes, text) if hours else b"%dm%ss" % (minutes, text)


def moment(epoch: float) -> bytes:
    """Write a time as RFC 3339 in UTC, to the second, never too early."""
    return _second(math.ceil(epoch))


@lru_cache(maxsize=1024)
def _second(epoch: int) -> bytes:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
