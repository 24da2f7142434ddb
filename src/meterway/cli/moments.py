"""Moments on the command line: spans from now, or what `kit.moments` reads."""

import re
from datetime import UTC, datetime

import click

from meterway.kit import moments
from meterway.kit.moments import shown

_SPAN = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read(text: str, now: float) -> float:
    """Read `30d`, `12h`, … from `now`, or an ISO 8601 moment; return seconds since the epoch.

    A moment without a zone is read as UTC+8. Raises `click.BadParameter`.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        if span is None:
            return moments.read(text)
        return datetime.fromtimestamp(now + int(span[1]) * _SECONDS[span[2]], UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            "Write a span such as 30d or 12h, or a moment such as 2027-01-31T00:00:00Z."
        ) from None


__all__ = ["read", "shown"]
