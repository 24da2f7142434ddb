"""From the tokens of texts to the tokens of a request: frames, roles, tools, images, documents.

Claude's figures were fitted to recorded exchanges with the real endpoint; OpenAI's follow
https://platform.openai.com/docs/guides/images-vision and its cookbook on counting tokens.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, sqrt
from typing import Any, Final, assert_never

from meterway.tokens.drafts import Draft, Image, Kind, Reading, Thinking, Tool, ToolUse
from meterway.tokens.families import ClaudeFamily, Family, Images, OpenAIFamily
from meterway.tokens.images import Size
from meterway.tokens.types import Tokenizer
from meterway.tokens.typescript import namespace

_PAGE: Final = 2200
_CALL: Final = 33
_THINKING: Final = {Thinking.ENABLED: 28, Thinking.ADAPTIVE: 17}  # seen without tools
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_ARGUMENT: Final = 6
_NAMED_TOOL: Final = 6
_UNSEEN_IMAGE: Final = (1568, 784)  # pixels: about the largest at standard resolution
_PATCH, _CLAUDE_PATCH, _TILE = 32, 28, 512
_PATCHES: Final = 1536


@dataclass(frozen=True, slots=True)
class Tally:
    """What one piece costs. `thinking` is apart, as it depends on the messages after it."""

    tokens: int
    thinking: int = 0
    role: str = ""
    opens_turn: bool = False
    sure: bool = True


def texts(draft: Draft, family: Family) -> list[str]:
    """Return every text of a piece that goes to the tokenizer, thinking last."""
    return [*draft.texts, *_tool_texts(draft.tools, family), *draft.thinking]


def tally(draft: Draft, counts: Sequence[int], family: Family) -> Tally:
    """Price one piece; `counts` are the tokens of its `texts`, in their order."""
    split = len(counts) - len(draft.thinking)
    match family:
        case ClaudeFamily():
            tokens = _claude_extras(draft, family)
        case OpenAIFamily():
            tokens = _openai_extras(draft, family)
        case _:
            assert_never(family)
    known = all(image.size for image in draft.images)
    return Tally(
        tokens=tokens + sum(counts[:split]),
        thinking=sum(counts[split:]),
        role=draft.role,
        opens_turn=draft.opens_turn,
        sure=draft.sure and known,
    )


def total(reading: Reading, tallies: Sequence[Tally], family: Family) -> tuple[int, bool]:
    """Return the tokens of a body, and whether they follow from measured laws alone."""
    match family:
        case ClaudeFamily():
            return _claude_total(reading, tallies, family)
        case OpenAIFamily():
            return _openai_total(reading, tallies, family)
        case _:
            assert_never(family)


def _tool_texts(tools: Sequence[Tool], family: Family) -> list[str]:
    if not tools:
        return []
    if isinstance(family, OpenAIFamily):
        return [namespace(tools)]
    return [f"<function>{_as_json(tool)}</function>" for tool in tools]


def _as_json(tool: Tool) -> str:
    row: dict[str, Any] = {"description": tool.description, "name": tool.name}
    if tool.parameters is not None:
        row["parameters"] = tool.parameters
    return json.dumps(row, ensure_ascii=False)


def _claude_extras(draft: Draft, family: ClaudeFamily) -> int:
    images = sum(_claude_image(image.size or _UNSEEN_IMAGE, family) + 3 for image in draft.images)
    calls = _CALL * draft.calls + _ARGUMENT * draft.arguments
    joins = max(0, draft.blocks - 1)
    return images + calls + joins + _PAGE * draft.pages + len(draft.tools)


def _claude_total(
    reading: Reading, tallies: Sequence[Tally], family: ClaudeFamily
) -> tuple[int, bool]:
    tokens = family.frame + sum(t.tokens for t in tallies)
    rows = list(zip(reading.pieces, tallies, strict=True))
    dialogue = [t for p, t in rows if p.kind is Kind.MESSAGE and t.role not in _SYSTEM_ROLES]
    for before, after in pairwise(dialogue):
        tokens += 1 if before.role == after.role else family.new_role
    opening = max((at for at, t in enumerate(dialogue) if t.opens_turn), default=-1)
    tokens += sum(
        t.thinking for at, t in enumerate(dialogue) if family.keeps_thinking or at > opening
    )
    sure = family.known and all(t.sure and not t.thinking for t in tallies)
    if any(p.kind is Kind.TOOLS and not t.sure for p, t in rows):
        tokens += _claude_tools(reading.tool_use, family)
    if family.tokenizer is not Tokenizer.CLAUDE_4_8 and reading.thinking is not Thinking.OFF:
        tokens += _THINKING[reading.thinking] if family.tokenizer is Tokenizer.CLAUDE_3 else 0
        sure = False
    return tokens, sure


def _claude_tools(use: ToolUse, family: ClaudeFamily) -> int:
    if use is ToolUse.AUTO:
        return family.tools.auto
    return family.tools.forced + (_NAMED_TOOL if use is ToolUse.NAMED else 0)


def _claude_image(size: Size, family: ClaudeFamily) -> int:
    """Patches of 28 pixels after the largest resize within the model's two limits."""
    longest = max(size)
    low, high = 1, min(longest, family.image_edge)
    while low < high:
        edge = (low + high + 1) // 2
        if _patches(size, edge / longest) <= family.image_tokens:
            low = edge
        else:
            high = edge - 1
    return _patches(size, low / longest)


def _patches(size: Size, scale: float) -> int:
    width, height = (max(1, round(side * scale)) for side in size)
    return ceil(width / _CLAUDE_PATCH) * ceil(height / _CLAUDE_PATCH)


def _openai_extras(draft: Draft, family: OpenAIFamily) -> int:
    tokens = sum(_openai_image(image, family) for image in draft.images)
    if draft.role:
        tokens += 5 if draft.named else 4
    tokens += 4 * draft.calls + _PAGE * draft.pages
    return tokens + (family.tool_frame if draft.tools else 0)


def _openai_total(
    reading: Reading, tallies: Sequence[Tally], family: OpenAIFamily
) -> tuple[int, bool]:
    text = family.reply + sum(t.tokens + t.thinking for t in tallies)
    tokens = ceil(text * family.scale / 100)
    if reading.tool_use is ToolUse.NAMED:
        tokens += _NAMED_TOOL
    sure = family.scale == 100 and all(t.sure and not t.thinking for t in tallies)  # noqa: PLR2004  per hundred
    return tokens, sure


def _openai_image(image: Image, family: OpenAIFamily) -> int:
    size = image.size or _UNSEEN_IMAGE
    if family.images is Images.PATCHES:
        return ceil(_openai_patches(size) * family.step / 100)
    if image.low_detail:
        return family.base
    width, height = _fitted(size)
    return family.base + family.step * ceil(width / _TILE) * ceil(height / _TILE)


def _fitted(size: Size) -> tuple[float, float]:
    """Shrink into a square of 2,048 pixels, then to a shorter side of 768."""
    scale = min(1.0, 2048 / max(size))
    scale *= min(1.0, 768 / (min(size) * scale))
    return round(size[0] * scale, 3), round(size[1] * scale, 3)


def _openai_patches(size: Size) -> int:
    """Patches of 32 pixels, the image shrunk to whole patches where it has more than 1,536."""
    width, height = size
    count = ceil(width / _PATCH) * ceil(height / _PATCH)
    if count <= _PATCHES:
        return count
    shrink = sqrt(_PATCH * _PATCH * _PATCHES / (width * height))
    across, down = width * shrink / _PATCH, height * shrink / _PATCH
    shrink = min(floor(across) / across, floor(down) / down)
    return min(_PATCHES, max(1, ceil(across * shrink - 1e-9) * ceil(down * shrink - 1e-9)))
