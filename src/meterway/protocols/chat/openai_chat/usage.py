"""OpenAI's usage object and the token classes it means.

`prompt_tokens` includes what was read from and written to the cache, audio and images;
`completion_tokens` includes reasoning and audio. Source:
https://platform.openai.com/docs/api-reference/chat/object. DeepSeek names cache hits
`prompt_cache_hit_tokens`, Moonshot `cached_tokens`. Writes to a cache count as 5 minutes.
Where a server's total is more than prompt and completion, the rest is reasoning left out of the
completion (xAI, Gemini), or, where it is just the cached tokens, a prompt without its cache.
"""

from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.usage import Usage


def decode_usage(report: wire.Usage | None) -> Usage | None:
    """Return what was used, None where `report` is absent or says nothing.

    Parts larger than their whole are cut to it, so that no class is negative and the totals
    stay.
    """
    if report is None or (report.prompt_tokens is None and report.completion_tokens is None):
        return None
    prompt, completion = _count(report.prompt_tokens), _count(report.completion_tokens)
    if _is_plain(report) and report.total_tokens == prompt + completion:
        return Usage(input=prompt, output=completion)
    spent = report.completion_tokens_details or wire.CompletionDetails()
    read = report.prompt_tokens_details or wire.PromptDetails()
    cached = _count(read.cached_tokens or report.prompt_cache_hit_tokens or report.cached_tokens)
    written = _count(read.cache_write_tokens or read.cache_creation_tokens)
    reasoning = _count(spent.reasoning_tokens)
    if (unsaid := _count(report.total_tokens) - prompt - completion) > 0:
        if unsaid in {cached, cached + written}:
            prompt += unsaid
        else:
            completion += unsaid
            reasoning = max(reasoning, unsaid)
    cached, rest = _take(cached, prompt)
    written, rest = _take(written, rest)
    audio, rest = _take(_count(read.audio_tokens), rest)
    image, rest = _take(_count(read.image_tokens), rest)
    reasoning, output = _take(reasoning, completion)
    spoken, output = _take(_count(spent.audio_tokens), output)
    return Usage(
        input=rest,
        cache_read=cached,
        cache_write_5m=written,
        input_audio=audio,
        input_image=image,
        output=output,
        reasoning=reasoning,
        output_audio=spoken,
    )


def _is_plain(report: wire.Usage) -> bool:
    """Whether a report breaks nothing down, as most do; every call passes here."""
    return (
        report.prompt_tokens_details is None
        and report.completion_tokens_details is None
        and report.prompt_cache_hit_tokens is None
        and report.cached_tokens is None
    )


def _count(value: int | None) -> int:
    return value if value is not None and value > 0 else 0


def _take(part: int, whole: int) -> tuple[int, int]:
    part = min(part, whole)
    return part, whole - part
