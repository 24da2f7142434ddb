"""The wire protocols the product speaks, by name, and the families their clients belong to."""

from enum import StrEnum


class Dialect(StrEnum):
    """One wire protocol, spoken by clients, by upstreams, or by both."""

    # The text's own hash: Enum's is written in Python and costs more than the lookup it serves.
    __hash__ = str.__hash__

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    OPENAI_COMPLETIONS = "openai_completions"  # legacy; clients alone
    ANTHROPIC_MESSAGES = "anthropic_messages"
    ANTHROPIC_COMPLETE = "anthropic_complete"  # legacy; clients alone
    GEMINI = "gemini"


class Family(StrEnum):
    """Whose clients read the replies: their errors and headers are the same in all dialects."""

    __hash__ = str.__hash__

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


FAMILIES = {
    Dialect.OPENAI_CHAT: Family.OPENAI,
    Dialect.OPENAI_RESPONSES: Family.OPENAI,
    Dialect.OPENAI_COMPLETIONS: Family.OPENAI,
    Dialect.ANTHROPIC_MESSAGES: Family.ANTHROPIC,
    Dialect.ANTHROPIC_COMPLETE: Family.ANTHROPIC,
    Dialect.GEMINI: Family.GOOGLE,
}

ENCRYPTING = frozenset({Dialect.OPENAI_RESPONSES})
"""Dialects whose upstreams encrypt thoughts for one account; other vendors read all their own."""
