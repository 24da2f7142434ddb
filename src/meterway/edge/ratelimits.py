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

from meterway.limits.types import Standing, Standings
from meterway.protocols.dialects import Family

_ROUNDING = 1e-6  # milliseconds that floats may be off


_OPENAI_REQUESTS, _OPENAI_TOKENS = (
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b"
    % (name, name, name)
    for name in (b"requests", b"tokens")
)
_OPENAI_BOTH = _OPENAI_REQUESTS + b"\r\n" + _OPENAI_TOKENS


def _anthropics(name: bytes) -> bytes:
    prefix = b"anthropic-ratelimit-" + name
    return b"%b-limit: %%d\r\n%b-remaining: %%d\r\n%b-reset: %%b" % (prefix, prefix, prefix)


_ANTHROPIC_REQUESTS = _anthropics(b"requests")
# Our limit counts both kinds of tokens.
_ANTHROPIC_TOKENS = b"\r\n".join(map(_anthropics, (b"tokens", b"input-tokens", b"output-tokens")))


def headers_of(standings: Standings, family: Family | None) -> list[tuple[bytes, bytes]]:
    """Return the headers for a reply; a limit the caller does not have has none."""
    lines = lines_of(standings, family)
    if not lines:
        return []
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n")]
    return [(name, value) for name, _, value in pairs]


def lines_of(standings: Standings, family: Family | None) -> bytes:
    """Return the same as lines of a head, joined: so they cost every call the least."""
    match family:
        case Family.OPENAI:
            return _for_openai(standings)
        case Family.ANTHROPIC:
            return _for_anthropic(standings)
        case Family.GOOGLE | None:  # its clients read the error alone
            return b""
        case _:
            assert_never(family)


def _for_openai(standings: Standings) -> bytes:
    requests, tokens = standings.requests, standings.tokens
    if requests is not None and tokens is not None:
        return _OPENAI_BOTH % (*_told(requests), *_told(tokens))
    if requests is not None:
        return _OPENAI_REQUESTS % _told(requests)
    return b"" if tokens is None else _OPENAI_TOKENS % _told(tokens)


def _told(standing: Standing) -> tuple[int, int, bytes]:
    milliseconds = ceil(standing.reset * 1000 - _ROUNDING)
    return standing.limit, standing.remaining, _milliseconds(milliseconds)


def _for_anthropic(standings: Standings) -> bytes:
    requests, tokens, lines = standings.requests, standings.tokens, []
    if requests is not None:
        reset = moment(standings.at + requests.reset)
        lines.append(_ANTHROPIC_REQUESTS % (requests.limit, requests.remaining, reset))
    if tokens is not None:
        told = (tokens.limit, tokens.remaining, moment(standings.at + tokens.reset))
        lines.append(_ANTHROPIC_TOKENS % (told * 3))
    return b"\r\n".join(lines)


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
