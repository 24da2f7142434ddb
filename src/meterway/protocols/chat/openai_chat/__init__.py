"""OpenAI's chat completions, as client and as upstream dialect."""

from meterway.protocols.chat.openai_chat.codec import OPENAI_CHAT

__all__ = ["OPENAI_CHAT"]
