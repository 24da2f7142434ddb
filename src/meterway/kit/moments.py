"""Moments as people and programs write them: ISO 8601, shown in UTC."""

from datetime import UTC, datetime, timedelta, timezone

_NAIVE = timezone(timedelta(hours=8))  # the platform's API reads a time without a zone as UTC+8
_LAST = 253_402_300_799.999  # the end of the year 9999, the last moment that can be shown


def shown(seconds: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC with milliseconds and `Z`."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> float:
    """Read an ISO 8601 moment, one without a zone as UTC+8; return seconds since the epoch.

    Milliseconds are kept, what is finer is rounded.

    Raises `ValueError`.
    """
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_NAIVE)
    try:
        seconds = round(moment.astimezone(UTC).timestamp(), 3)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    if seconds > _LAST:
        raise ValueError("that is after the year 9999")
    return seconds
