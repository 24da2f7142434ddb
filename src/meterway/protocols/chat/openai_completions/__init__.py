"""OpenAI's legacy text completions, as client dialect."""

from meterway.protocols.chat.openai_completions.codec import OPENAI_COMPLETIONS

__all__ = ["OPENAI_COMPLETIONS"]
