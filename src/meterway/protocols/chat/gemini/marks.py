"""What `thoughtSignature` may hold: Google's own proof, or another vendor's in an envelope.

Google's travel sealed through the neutral form (`protocols.chat.envelopes`). Those of another
vendor's model that answers a Gemini client go in an envelope, base64 as Google's clients demand,
and are taken out again when the client sends the turn back.
"""

import base64
import binascii
from typing import Final

from meterway.protocols.chat import neutral
from meterway.protocols.chat.envelopes import sealed, unsealed
from meterway.protocols.dialects import Dialect

_PREFIX = b"meterway:"
# Nine bytes end on a character of base64, so all envelopes begin alike.
START: Final = base64.b64encode(_PREFIX).decode()
_SIGNATURE, _REDACTED = b"s", b"r"


def read_mark(mark: str) -> str | neutral.RedactedThinking:
    """Return the neutral signature that `mark` is, or the reasoning it holds encrypted."""
    if mark.startswith(START):
        try:
            kind, text = _opened(mark)
        except (binascii.Error, UnicodeDecodeError):
            return sealed(mark, Dialect.GEMINI)
        return neutral.RedactedThinking(data=text) if kind == _REDACTED else text
    return sealed(mark, Dialect.GEMINI)


def _opened(mark: str) -> tuple[bytes, str]:
    payload = base64.b64decode(mark, validate=True).removeprefix(_PREFIX)
    return payload[:1], payload[1:].decode()


def write_signature(signature: str) -> str:
    """Return the mark that a client is told for a neutral signature."""
    own = unsealed(signature, Dialect.GEMINI)
    return _envelope(_SIGNATURE, signature) if own is None else own


def write_redacted(data: str) -> str:
    """Return the mark that a client is told for reasoning its vendor encrypted."""
    return _envelope(_REDACTED, data)


def _envelope(kind: bytes, text: str) -> str:
    return base64.b64encode(_PREFIX + kind + text.encode()).decode()
