"""Google's Gemini API: the codec instances, and what its face has to know of the wire."""

from meterway.protocols.chat.codec import Codec
from meterway.protocols.chat.gemini.codec import Gemini, GeminiArray
from meterway.protocols.chat.gemini.facts import MODEL, STREAM
from meterway.protocols.chat.gemini.spelling import canonical

GEMINI: Codec = Gemini()
GEMINI_ARRAY: Codec = GeminiArray()

__all__ = ["GEMINI", "GEMINI_ARRAY", "MODEL", "STREAM", "canonical"]
