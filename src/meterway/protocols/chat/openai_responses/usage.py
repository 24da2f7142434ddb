"""The Responses API's usage object and the token classes it means.

`input_tokens` includes what was read from and written to the cache, `output_tokens` includes
reasoning. Source: https://platform.openai.com/docs/api-reference/responses/object. Writes to a
cache count as 5 minutes. Where a server's total is more than input and output, the rest is
reasoning left out of the output, as xAI does in chat completions.
"""

from typing import Any

from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.usage import Usage


def decode_usage(report: wire.Usage | None) -> Usage | None:
    """Return what was used, None where `report` is absent or says nothing.

    Parts larger than their whole are cut to it, so that no class is negative and the totals stay.
    """
    if report is None or (report.input_tokens is None and report.output_tokens is None):
        return None
    read = report.input_tokens_details or wire.InputDetails()
    spent = report.output_tokens_details or wire.OutputDetails()
    given, answered = _count(report.input_tokens), _count(report.output_tokens)
    thought = _count(spent.reasoning_tokens)
    if (unsaid := _count(report.total_tokens) - given - answered) > 0:
        answered, thought = answered + unsaid, max(thought, unsaid)
    cached, rest = _take(_count(read.cached_tokens), given)
    written, rest = _take(_count(read.cache_write_tokens), rest)
    reasoning, output = _take(thought, answered)
    return Usage(
        input=rest,
        cache_read=cached,
        cache_write_5m=written,
        output=output,
        reasoning=reasoning,
    )


def _count(value: int | None) -> int:
    return value if value is not None and value > 0 else 0


def _take(part: int, whole: int) -> tuple[int, int]:
    part = min(part, whole)
    return part, whole - part


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Write a usage object with both breakdowns; both are required."""
    read, written = usage.total_input, usage.total_output
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": read + written,
    }
