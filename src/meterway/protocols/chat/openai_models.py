"""What a model served over OpenAI's protocol accepts, read from its name.

OpenAI refuses with a 400 what a model does not know, and other servers know less than OpenAI, so
an encoder must ask. A name counts by what stands behind its last slash and `ft:`. Sources:
https://platform.openai.com/docs/guides/reasoning, https://api-docs.deepseek.com/guides/thinking_mode,
https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model,
https://openrouter.ai/docs/use-cases/reasoning-tokens and
https://docs.x.ai/developers/model-capabilities/text/best-practices.
"""

import re
from functools import lru_cache

import msgspec

_OPENAI = re.compile(r"gpt-(?!oss)|chatgpt-|o[1-9]\d*(-|$)|codex|computer-use")
_REASONING = re.compile(r"o[1-9]\d*(-|$)|gpt-(?:[5-9]|\d\d)|codex|computer-use")
_GPT_5_POINT = re.compile(r"gpt-(?:5\.\d|[6-9]|\d\d)")
_WANTS_THINKING = re.compile(r"deepseek|kimi|glm|minimax")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that decide how a request is written.

    `completion_limit`: the limit is called `max_completion_tokens`; everywhere else the older
    `max_tokens`, which every server knows. `refusals`: messages may carry `refusal`. `effort`:
    `reasoning_effort` may be sent (OpenAI's models that don't reason refuse it). `no_thinking`:
    the effort that comes nearest to none, None where nothing is known to turn thinking off.
    `thinking_text`: earlier reasoning goes back as `reasoning_content`; `thinking_details`: as
    `reasoning_details` with its signatures; `call_signatures`: tool calls carry the thought
    signatures of Google's models. Other servers refuse or ignore them.
    `encrypted_thoughts`: a Responses request may ask for `reasoning.encrypted_content`.
    """

    completion_limit: bool = False
    refusals: bool = False
    effort: bool = True
    no_thinking: str | None = None
    thinking_text: bool = False
    thinking_details: bool = False
    encrypted_thoughts: bool = False
    call_signatures: bool = False


@lru_cache(maxsize=1024)
def abilities_of(model: str) -> Abilities:
    """Return the abilities of the model an upstream calls `model`."""
    vendor, _, name = model.lower().rpartition("/")
    name = name.removeprefix("ft:")
    if _OPENAI.match(name):
        reasons = bool(_REASONING.match(name))
        return Abilities(
            completion_limit=reasons,
            refusals=True,
            effort=reasons,
            no_thinking=_least_effort(name) if reasons else None,
            encrypted_thoughts=reasons,
        )
    routed_claude = bool(vendor) and "claude" in name
    return Abilities(
        thinking_text=bool(_WANTS_THINKING.match(name)),
        thinking_details=routed_claude,
        encrypted_thoughts=name.startswith("grok-"),
        call_signatures="gemini" in name,
    )


def _least_effort(name: str) -> str:
    if _GPT_5_POINT.match(name):
        return "none"
    return "minimal" if name.startswith("gpt-5") else "low"


def effort_of(budget_tokens: int) -> str:
    """Return the effort that stands for a thinking budget.

    Up to 1,024 tokens "minimal", below 4,096 "low", below 16,384 "medium", else "high".
    """
    if budget_tokens <= 1024:  # noqa: PLR2004 - the table of the docstring
        return "minimal"
    if budget_tokens < 4096:  # noqa: PLR2004 - the table of the docstring
        return "low"
    return "medium" if budget_tokens < 16_384 else "high"  # noqa: PLR2004 - the same table
