"""What a count is and which tokenizers there are."""

from dataclasses import dataclass
from enum import StrEnum


class TokenSource(StrEnum):
    """Where a count comes from: the provider's own counter, a measured law, or a guess."""

    UPSTREAM = "upstream"
    EXACT = "exact"
    ESTIMATE = "estimate"


class Tokenizer(StrEnum):
    """The tokenizers the counter process holds."""

    O200K = "o200k"
    CL100K = "cl100k"
    CLAUDE_3 = "claude-3"
    CLAUDE_4_7 = "claude-4.7"
    CLAUDE_4_8 = "claude-4.8"


@dataclass(frozen=True, slots=True)
class Count:
    """A number of tokens and how far it can be trusted."""

    tokens: int
    source: TokenSource


def estimate(text_bytes: int) -> int:
    """Return a rough number of tokens for text of so many bytes of UTF-8: one for every 3.5."""
    return -(-2 * text_bytes // 7)
