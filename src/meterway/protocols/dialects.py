"""The wire protocols the product speaks, by name."""

from enum import StrEnum


class Dialect(StrEnum):
    """One wire protocol, spoken by clients, by upstreams, or by both."""

    OPENAI_CHAT = "openai_chat"
    ANTHROPIC_MESSAGES = "anthropic_messages"
