"""Google's signatures as the neutral form has them."""

from meterway.protocols.chat.envelopes import Envelope, seal
from meterway.protocols.dialects import Dialect


def by_google(mark: str) -> str:
    """The neutral form of a `thoughtSignature`."""
    return seal(Envelope(Dialect.GEMINI, "signature", mark))
