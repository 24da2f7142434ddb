"""Anthropic's legacy text completions, as client dialect."""

from meterway.protocols.chat.anthropic_complete.codec import ANTHROPIC_COMPLETE
from meterway.protocols.chat.anthropic_complete.request_in import check_version, limit_tokens

__all__ = ["ANTHROPIC_COMPLETE", "check_version", "limit_tokens"]
