"""Moments on the command line: how they are read and shown."""

import re
from datetime import UTC, datetime, timedelta, timezone

import click

_SPAN = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAIVE = timezone(timedelta(hours=8))  # the API reads a time without a zone as UTC+8; so do we


def shown(seconds: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC with milliseconds and `Z`."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str, now: float) -> float:
    """Read `30d`, `12h`, … from `now`, or an ISO 8601 moment; return seconds since the epoch.

    A moment without a zone is read as UTC+8. Raises `click.BadParameter`.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        if span is not None:
            moment = datetime.fromtimestamp(now + int(span[1]) * _SECONDS[span[2]], UTC)
        else:
            moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            "Write a span such as 30d or 12h, or a moment such as 2027-01-31T00:00:00Z."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_NAIVE)
    return moment.timestamp()
