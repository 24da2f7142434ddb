"""Rows of the report: a figure beside its target, and the targets themselves."""

from collections.abc import Sequence

from meterway.bench.types import Row, Verdict

PASS_THROUGH_RATIO = 0.15
TRANSLATED_RATIO = 0.6
STREAM_RATIO = 3.0
TRANSLATED_STREAM_RATIO = 6.0
FIRST_TOKEN_ADDED_MS = 2.0
P50_ADDED_MS = 0.5
P99_OVER_NGINX_MS = 2.0
WORKER_MB = 130.0
STREAM_KB = 80.0
COLD_START_SECONDS = 1.5
COUNT_COLD_SECONDS = 1.0
COUNT_NEIGHBOUR_MS = 2.0
COUNT_WARM_P99_MS = 20.0
SOAK_GROWTH_MB = 5.0
BILLED_RATIO = 0.75
BILLED_TO_NGINX_RATIO = 0.12
HOLD_AND_SETTLE_MICROS = 15.0
SETTLED_PER_SECOND = 10_000.0
BYTES_PER_CALL = 300.0
VERIFY_SECONDS = 5.0
PAGE_MS = 100.0
RESPONSES_RATIO = 0.5
STORING_PER_CENT = 30.0
ASSEMBLED_MS = 5.0


def at_most(  # noqa: PLR0913, PLR0917 - a row has as many columns
    section: str, name: str, value: float | None, limit: float, unit: str, note: str = ""
) -> Row:
    """Return a row whose value must not exceed `limit`."""
    verdict = Verdict.UNKNOWN
    if value is not None:
        verdict = Verdict.MET if value <= limit else Verdict.MISSED
    return Row(section, name, value, unit, f"≤ {limit:g}", verdict, note)


def at_least(  # noqa: PLR0913, PLR0917 - a row has as many columns
    section: str, name: str, value: float | None, limit: float, unit: str, note: str = ""
) -> Row:
    """Return a row whose value must not fall below `limit`."""
    verdict = Verdict.UNKNOWN
    if value is not None:
        verdict = Verdict.MET if value >= limit else Verdict.MISSED
    return Row(section, name, value, unit, f"≥ {limit:,g}", verdict, note)


def spoilt(row: Row, complaints: Sequence[str]) -> Row:
    """Return the row as it is, or marked invalid with the first of the complaints."""
    said = next((complaint for complaint in complaints if complaint), "")
    if not said:
        return row
    note = f"{row.note}; {said}" if row.note else said
    return Row(row.section, row.name, row.value, row.unit, row.target, Verdict.INVALID, note)
