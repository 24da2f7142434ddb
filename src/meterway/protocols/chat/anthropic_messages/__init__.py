"""Anthropic's Messages API: the codec instance, and the checks of what a client asks of it."""

from meterway.protocols.chat.anthropic_messages.codec import AnthropicMessages
from meterway.protocols.chat.anthropic_messages.threads import take_thread
from meterway.protocols.chat.anthropic_messages.versions import check_version
from meterway.protocols.chat.codec import Codec

ANTHROPIC_MESSAGES: Codec = AnthropicMessages()

__all__ = ["ANTHROPIC_MESSAGES", "check_version", "take_thread"]
