"""The codecs by dialect: the one place that knows them all."""

from collections.abc import Mapping

from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.codec import Codec
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.protocols.dialects import Dialect

CODECS: Mapping[Dialect, Codec] = {
    Dialect.OPENAI_CHAT: OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES: OPENAI_RESPONSES,
    Dialect.ANTHROPIC_MESSAGES: ANTHROPIC_MESSAGES,
    Dialect.GEMINI: GEMINI,
}
