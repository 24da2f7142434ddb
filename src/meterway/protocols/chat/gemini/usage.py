"""Google's usage object and the token classes it means.

`promptTokenCount` includes what was read from the cache; `candidatesTokenCount` excludes thoughts;
`toolUsePromptTokenCount` is what the vendor's own tools found, read beside the prompt. The details
break them down by modality. Source: https://ai.google.dev/api/generate-content#UsageMetadata.
Video and documents cost what text does. Where the total is more than its parts, the rest is
thoughts that an older server left out.
"""

from typing import Any

from meterway.protocols.chat.gemini import wire
from meterway.protocols.usage import Usage

_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
_WIRE_TIERS = {known: tier for tier, known in _TIERS.items()}
_UNSPECIFIED = "unspecified"


def decode_tier(tier: str | None) -> str | None:
    """Return a tier in the words all dialects share: Google's standard is "default".

    The enum may be written in capitals, with or without its name in front of each value.
    """
    known = (tier or "").lower().removeprefix("service_tier_")
    return None if known in {"", _UNSPECIFIED} else _TIERS.get(known, known)


def encode_tier(tier: str) -> str | None:
    """Return Google's word for a tier, None where it has none."""
    return _WIRE_TIERS.get(tier)


def decode_usage(report: wire.Usage | None) -> Usage | None:
    """Return what was used, None where `report` is absent or says nothing.

    Parts larger than their whole are cut to it, so that no class is negative.
    """
    if report is None or (report.prompt_token_count is None and report.total_token_count is None):
        return None
    prompt, cached = _count(report.prompt_token_count), _count(report.cached_content_token_count)
    cached, rest = _take(cached, prompt)
    rest += _count(report.tool_use_prompt_token_count)
    read = (report.prompt_tokens_details, report.tool_use_prompt_tokens_details)
    audio, rest = _take(_of("AUDIO", *read) - _of("AUDIO", report.cache_tokens_details), rest)
    image, rest = _take(_of("IMAGE", *read) - _of("IMAGE", report.cache_tokens_details), rest)
    answer, thoughts = _count(report.candidates_token_count), _count(report.thoughts_token_count)
    spoken, output = _take(_of("AUDIO", report.candidates_tokens_details), answer)
    known = prompt + _count(report.tool_use_prompt_token_count) + answer + thoughts
    return Usage(
        input=rest,
        cache_read=cached,
        input_audio=audio,
        input_image=image,
        output=output,
        reasoning=thoughts + max(_count(report.total_token_count) - known, 0),
        output_audio=spoken,
    )


def _count(value: int | None) -> int:
    return value if value is not None and value > 0 else 0


def _of(modality: str, *details: list[wire.Modality] | None) -> int:
    return sum(
        _count(detail.token_count)
        for listed in details
        for detail in listed or ()
        if detail.modality == modality
    )


def _take(part: int, whole: int) -> tuple[int, int]:
    part = min(max(part, 0), whole)
    return part, whole - part


def encode_usage(usage: Usage, tier: str | None = None) -> dict[str, Any]:
    """Write a usage object; classes nothing was used of are left out, as Google does."""
    prompt = usage.total_input
    answer = usage.output + usage.output_audio
    told: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": answer}
    if usage.cache_read:
        told["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        told["thoughtsTokenCount"] = usage.reasoning
    told["totalTokenCount"] = prompt + usage.total_output
    text = prompt - usage.input_audio - usage.input_image
    read = {"TEXT": text, "AUDIO": usage.input_audio, "IMAGE": usage.input_image}
    told["promptTokensDetails"] = _details(read)
    if usage.output_audio:
        told["candidatesTokensDetails"] = _details(
            {"TEXT": usage.output, "AUDIO": usage.output_audio}
        )
    if tier in _WIRE_TIERS:
        told["serviceTier"] = _WIRE_TIERS[tier]
    return told


def _details(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items() if count]
