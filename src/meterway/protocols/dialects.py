"""The wire protocols the product speaks, by name."""

from enum import StrEnum


class Dialect(StrEnum):
    """One wire protocol, spoken by clients, by upstreams, or by both."""

    # The text's own hash: Enum's is written in Python and costs more than the lookup it serves.
    __hash__ = str.__hash__

    OPENAI_CHAT = "openai_chat"
    ANTHROPIC_MESSAGES = "anthropic_messages"
