"""Anthropic's usage object and the token classes it means.

`input_tokens` excludes cache reads and writes; `output_tokens` includes thinking. Sources:
https://platform.claude.com/docs/en/build-with-claude/prompt-caching and, for `iterations`,
https://platform.claude.com/docs/en/build-with-claude/compaction-threshold
"""

from collections.abc import Iterator
from typing import Any

from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.usage import Usage

_TIERS = {"standard": "default", "standard_only": "default"}
_USUAL = frozenset({"auto", "default", "standard", "global", "not_available"})
_PLACE = "us"
_WIRE_TIERS = {"default": "standard", "priority": "priority", "batch": "batch"}


class Tally:
    """Usage as it arrives: reports are cumulative, so a later one replaces, and never doubles.

    Input counts only grow (a final report of 0 does not take back what was reported before);
    the output count is the last one reported. That of the first report, made before a word was
    written, counts once the stream ended without another: a reply that breaks off before has none.
    Compactions of the context, which the vendor bills and leaves out of its totals, are added.
    """

    __slots__ = (
        "_compacted",
        "_details",
        "_opening",
        "_output",
        "_read",
        "_seen",
        "_split",
        "_uncached",
        "_written",
    )

    def __init__(self) -> None:
        self._seen = self._opening = False
        self._uncached = self._read = self._written = self._output = self._details = 0
        self._split: wire.CacheCreation | None = None
        self._compacted: tuple[Usage, ...] = ()

    def open(self, report: wire.Usage | None) -> None:
        """Take the usage of a message that begins."""
        self.add(report)
        self._opening = True

    def end(self) -> bool:
        """Hear that nothing more is reported; tell whether that makes the usage another."""
        counts = self._opening and self._output > 0
        self._opening = False
        return counts

    def add(self, report: wire.Usage | None) -> None:
        """Take one usage object; fields it lacks keep their value."""
        if report is None:
            return
        if report.input_tokens is None and report.output_tokens is None:
            return
        self._seen, self._opening = True, False
        self._uncached = max(self._uncached, report.input_tokens or 0)
        self._read = max(self._read, report.cache_read_input_tokens or 0)
        self._written = max(self._written, report.cache_creation_input_tokens or 0)
        self._split = report.cache_creation or self._split
        if report.output_tokens is not None:
            self._output = max(report.output_tokens, 0)
        if report.output_tokens_details is not None:
            self._details = report.output_tokens_details.thinking_tokens
        if report.iterations is not None:
            self._compacted = tuple(_compactions(report.iterations))

    def usage(self) -> Usage | None:
        """Return what was used so far, None before the first report.

        Writes to the cache without a split by lifetime count as 5 minutes.
        """
        if not self._seen:
            return None
        hour = max(self._split.ephemeral_1h_input_tokens, 0) if self._split else 0
        short = max(self._split.ephemeral_5m_input_tokens, 0) if self._split else 0
        written = max(self._written, hour + short)
        output = 0 if self._opening else self._output
        reasoning = min(max(self._details, 0), output)
        total = Usage(
            input=self._uncached,
            cache_read=self._read,
            cache_write_5m=written - hour,
            cache_write_1h=hour,
            output=output - reasoning,
            reasoning=reasoning,
        )
        return _sum(total, *self._compacted) if self._compacted else total


def _compactions(iterations: list[wire.Iteration]) -> Iterator[Usage]:
    for step in iterations:
        if step.type == "compaction":
            used = decode_usage(
                wire.Usage(
                    input_tokens=step.input_tokens,
                    output_tokens=step.output_tokens,
                    cache_creation_input_tokens=step.cache_creation_input_tokens,
                    cache_read_input_tokens=step.cache_read_input_tokens,
                    cache_creation=step.cache_creation,
                )
            )
            if used is not None:
                yield used


def _sum(*usages: Usage) -> Usage:
    names = Usage.__struct_fields__
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in names})


def decode_usage(report: wire.Usage | None) -> Usage | None:
    """Read the usage of a whole reply."""
    if report is not None and _is_plain(report):
        return Usage(
            input=max(report.input_tokens or 0, 0), output=max(report.output_tokens or 0, 0)
        )
    tally = Tally()
    tally.add(report)
    return tally.usage()


def _is_plain(report: wire.Usage) -> bool:
    """Whether a report says how many tokens went in and came out, and nothing else."""
    return (
        report.input_tokens is not None
        and report.output_tokens is not None
        and not (
            report.cache_read_input_tokens
            or report.cache_creation_input_tokens
            or report.cache_creation
            or report.output_tokens_details
            or report.iterations
        )
    )


def encode_usage(usage: Usage | None, tier: str | None = None) -> dict[str, Any]:
    """Write a usage object; a usage nobody reported is zeros, as the fields are mandatory."""
    usage = usage or Usage()
    written = usage.cache_write_5m + usage.cache_write_1h
    known: dict[str, Any] = {
        "input_tokens": usage.input + usage.input_audio + usage.input_image,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.total_output,
    }
    if usage.reasoning:
        known["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if tier in _WIRE_TIERS:
        known["service_tier"] = _WIRE_TIERS[tier]
    return known


def decode_tier(tier: str | None) -> str | None:
    """Return a tier in the words all dialects share: Anthropic's standard is "default"."""
    return _TIERS.get(tier, tier) if tier else None


def service_of(tier: str | None, speed: str | None, geo: str | None) -> str | None:
    """Return in one word all that changes the price: tier, speed and place, as "fast_us".

    What is as usual adds nothing: of such a call it is the tier alone, "default" or None. A place
    nobody knows costs what the known one does; if there is none, its vendor says so. Sources:
    https://platform.claude.com/docs/en/build-with-claude/fast-mode and
    https://platform.claude.com/docs/en/manage-claude/data-residency
    """
    known = decode_tier(tier)
    place = _PLACE if geo and geo not in _USUAL else None
    words = (known, speed, place)
    return "_".join(word for word in words if word and word not in _USUAL) or known


def told_service(report: wire.Usage | None) -> str | None:
    """Return what a reply says of that."""
    if report is None:
        return None
    return service_of(report.service_tier, report.speed, report.inference_geo)
