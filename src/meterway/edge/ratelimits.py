"""What is left of a caller's limits, as headers in its own dialect.

OpenAI: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, times as Go
writes durations. Anthropic: https://docs.anthropic.com/en/api/rate-limits#response-headers, times
by RFC 3339. They are always the caller's own limits, never those of an upstream's account. The
platform's API has `retry-after` alone.
"""

from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import assert_never

from meterway.limits.types import Standings
from meterway.protocols.dialects import Family

_ROUNDING = 1e-6  # milliseconds that floats may be off


def _openais(name: bytes) -> tuple[bytes, bytes, bytes]:
    prefix = b"x-ratelimit-"
    return prefix + b"limit-" + name, prefix + b"remaining-" + name, prefix + b"reset-" + name


def _anthropics(name: bytes) -> tuple[bytes, bytes, bytes]:
    prefix = b"anthropic-ratelimit-" + name
    return prefix + b"-limit", prefix + b"-remaining", prefix + b"-reset"


_REQUESTS_LIMIT, _REQUESTS_LEFT, _REQUESTS_RESET = _openais(b"requests")
_TOKENS_LIMIT, _TOKENS_LEFT, _TOKENS_RESET = _openais(b"tokens")
_ANTHROPIC_REQUESTS = _anthropics(b"requests")
# Our limit counts both kinds of tokens.
_ANTHROPIC_TOKENS, _ANTHROPIC_INPUT, _ANTHROPIC_OUTPUT = map(
    _anthropics, (b"tokens", b"input-tokens", b"output-tokens")
)


def headers_of(standings: Standings, family: Family | None) -> list[tuple[bytes, bytes]]:
    """Return the headers for a reply; a limit the caller does not have has none."""
    match family:
        case Family.OPENAI:
            return _for_openai(standings)
        case Family.ANTHROPIC:
            return _for_anthropic(standings)
        case Family.GOOGLE | None:  # its clients read the error alone
            return []
        case _:
            assert_never(family)


def _for_openai(standings: Standings) -> list[tuple[bytes, bytes]]:
    """Return them written out, which every call pays for."""
    requests, tokens = standings.requests, standings.tokens
    headers: list[tuple[bytes, bytes]] = []
    if requests is not None:
        headers = [
            (_REQUESTS_LIMIT, _digits(requests.limit)),
            (_REQUESTS_LEFT, b"%d" % requests.remaining),
            (_REQUESTS_RESET, _milliseconds(ceil(requests.reset * 1000 - _ROUNDING))),
        ]
    if tokens is not None:
        headers += (
            (_TOKENS_LIMIT, _digits(tokens.limit)),
            (_TOKENS_LEFT, b"%d" % tokens.remaining),
            (_TOKENS_RESET, _milliseconds(ceil(tokens.reset * 1000 - _ROUNDING))),
        )
    return headers


def _for_anthropic(standings: Standings) -> list[tuple[bytes, bytes]]:
    requests, tokens = standings.requests, standings.tokens
    headers: list[tuple[bytes, bytes]] = []
    if requests is not None:
        limits, left, resets = _ANTHROPIC_REQUESTS
        headers = [
            (limits, _digits(requests.limit)),
            (left, b"%d" % requests.remaining),
            (resets, moment(standings.at + requests.reset)),
        ]
    if tokens is not None:
        limit, remaining = _digits(tokens.limit), b"%d" % tokens.remaining
        reset = moment(standings.at + tokens.reset)
        for limits, left, resets in (_ANTHROPIC_TOKENS, _ANTHROPIC_INPUT, _ANTHROPIC_OUTPUT):
            headers += ((limits, limit), (left, remaining), (resets, reset))
    return headers


@lru_cache(maxsize=1024)
def _digits(limit: int) -> bytes:
    return b"%d" % limit


def duration(seconds: float) -> bytes:
    """Write a time as OpenAI does, never too short: `20ms`, `1s`, `1.5s`, `6m0s`, `1h2m3s`."""
    return _milliseconds(ceil(seconds * 1000 - _ROUNDING))


@lru_cache(maxsize=4096)
def _milliseconds(milliseconds: int) -> bytes:
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
    return _second(ceil(epoch))


@lru_cache(maxsize=1024)
def _second(epoch: int) -> bytes:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
