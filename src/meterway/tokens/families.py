"""Facts that counting needs about each family of models, and the way from a model's name to them.

Claude's figures were fitted to recorded exchanges with the real endpoint; where a model is not
listed, the newest listed one of the same tokenizer stands in for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from meterway.tokens.types import Tokenizer


@dataclass(frozen=True, slots=True)
class ToolCost:
    """Tokens a request with tools costs before the tools themselves, by `tool_choice`."""

    auto: int
    forced: int


@dataclass(frozen=True, slots=True)
class ClaudeFamily:
    """One Claude model: `frame` and `new_role` in tokens, images by edge in pixels and tokens.

    `known` is false where the tokenizer itself is a guess; `keeps_thinking` tells whether thinking
    of earlier turns is counted.
    """

    tokenizer: Tokenizer
    frame: int
    new_role: int
    tools: ToolCost
    image_edge: int
    image_tokens: int
    keeps_thinking: bool
    known: bool = True


class Images(StrEnum):
    """How an OpenAI model prices images."""

    TILES = "tiles"
    PATCHES = "patches"


@dataclass(frozen=True, slots=True)
class OpenAIFamily:
    """One OpenAI family: its encoding, what wraps a request, and its price of images.

    Images are `base` plus `step` for each tile, or patches times `step` (per hundred).
    `tool_frame` is what a request with tools costs before the tools; `scale` (per hundred) turns
    the encoding's count into that of a model whose own tokenizer is not known.
    """

    tokenizer: Tokenizer
    reply: int = 3
    tool_frame: int = 3
    images: Images = Images.TILES
    base: int = 85
    step: int = 170
    scale: int = 100


Family = ClaudeFamily | OpenAIFamily
_Version = tuple[int, int]

_TOOLS: Mapping[tuple[str, _Version], ToolCost] = {
    ("opus", (5, 0)): ToolCost(286, 406),
    ("sonnet", (5, 0)): ToolCost(354, 474),
    ("opus", (4, 8)): ToolCost(290, 410),
    ("opus", (4, 7)): ToolCost(675, 804),
    ("opus", (4, 6)): ToolCost(497, 589),
    ("sonnet", (4, 6)): ToolCost(497, 589),
    ("opus", (4, 5)): ToolCost(496, 588),
    ("sonnet", (4, 5)): ToolCost(496, 588),
    ("haiku", (4, 5)): ToolCost(496, 588),
    ("opus", (4, 1)): ToolCost(313, 315),
    ("opus", (4, 0)): ToolCost(313, 315),
    ("sonnet", (4, 0)): ToolCost(313, 315),
    ("sonnet", (3, 7)): ToolCost(346, 313),
    ("haiku", (3, 5)): ToolCost(264, 355),
    ("sonnet", (3, 5)): ToolCost(346, 313),
    ("opus", (3, 0)): ToolCost(530, 281),
    ("sonnet", (3, 0)): ToolCost(159, 235),
    ("haiku", (3, 0)): ToolCost(264, 340),
}
_STAND_INS: Mapping[Tokenizer, ToolCost] = {
    Tokenizer.CLAUDE_4_8: ToolCost(286, 406),
    Tokenizer.CLAUDE_4_7: ToolCost(675, 804),
    Tokenizer.CLAUDE_3: ToolCost(496, 588),
}
_CLAUDE = re.compile(
    r"claude[-_ ](?:(?P<before>[a-z]+)[-_ ])?"
    r"(?:v?(?P<major>\d)(?:[-_.](?P<minor>\d)(?!\d))?(?!\d))?"
    r"(?:[-_ ](?P<after>opus|sonnet|haiku))?"
)
_NEWEST: _Version = (5, 0)
_OLDEST_KNOWN: _Version = (3, 0)


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the facts of a model, by its id in any of the usual spellings.

    Prefixes of gateways and clouds, dates and version suffixes are ignored:
    "anthropic/claude-3.5-haiku", "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "claude-opus-4-1@20250805" and "ft:gpt-4o-mini:acme" are all understood.
    """
    name = model.lower()
    if "claude" in name:
        return _claude(name[name.index("claude") :])
    return _openai(name.rpartition("/")[2].removeprefix("ft:"))


def _claude(name: str) -> ClaudeFamily:
    found = _CLAUDE.match(name)
    tier, version, known = "", _NEWEST, False
    if found is not None:
        tier = found["after"] or found["before"] or ""
        if found["major"]:
            version = int(found["major"]), int(found["minor"] or 0)
            known = version >= _OLDEST_KNOWN
        elif found["before"] == "instant":
            version = (1, 0)
    tokenizer = _tokenizer(version)
    tools = _TOOLS.get((tier, version))
    high = version >= (4, 7)
    return ClaudeFamily(
        tokenizer=tokenizer,
        frame={Tokenizer.CLAUDE_3: 7, Tokenizer.CLAUDE_4_7: 12}.get(tokenizer, 6),
        new_role=2 if tokenizer is Tokenizer.CLAUDE_4_8 else 3,
        tools=tools or _STAND_INS[tokenizer],
        image_edge=2576 if high else 1568,
        image_tokens=4784 if high else 1568,
        keeps_thinking=version >= ((4, 5) if tier == "opus" else (4, 6)),
        known=known,
    )


def _tokenizer(version: _Version) -> Tokenizer:
    if version >= (4, 8):
        return Tokenizer.CLAUDE_4_8
    return Tokenizer.CLAUDE_4_7 if version >= (4, 7) else Tokenizer.CLAUDE_3


_GPT_5 = OpenAIFamily(Tokenizer.O200K, reply=5, tool_frame=82, base=70, step=140)
_REASONING = OpenAIFamily(Tokenizer.O200K, reply=5, base=75, step=150)


def _patches(step: int, reply: int, tool_frame: int) -> OpenAIFamily:
    return OpenAIFamily(
        Tokenizer.O200K, reply, tool_frame, images=Images.PATCHES, base=0, step=step
    )


_OPENAI = (
    (r"gpt-5[^/]*-mini", _patches(162, 5, 82)),
    (r"gpt-5[^/]*-nano", _patches(246, 5, 82)),
    (r"gpt-5[^/]*-chat", OpenAIFamily(Tokenizer.O200K, tool_frame=82, base=70, step=140)),
    (r"gpt-([6-9]|\d\d)|gpt-5", _GPT_5),
    (r"gpt-4\.1-mini", _patches(162, 3, 3)),
    (r"gpt-4\.1-nano", _patches(246, 3, 3)),
    (r"gpt-4o-mini", OpenAIFamily(Tokenizer.O200K, base=2833, step=5667)),
    (r"o4-mini", _patches(172, 5, 3)),
    (r"o\d(-|$)", _REASONING),
    (r"gpt-4o|gpt-4\.|chatgpt-", OpenAIFamily(Tokenizer.O200K)),
    (r"gpt-4|gpt-3|text-embedding-|davinci|babbage", OpenAIFamily(Tokenizer.CL100K)),
    (r"gpt-|codex", OpenAIFamily(Tokenizer.O200K)),
)
_OTHERS = OpenAIFamily(Tokenizer.O200K, scale=108)


def _openai(name: str) -> OpenAIFamily:
    for pattern, family in _OPENAI:
        if re.match(pattern, name):
            return family
    return _OTHERS
