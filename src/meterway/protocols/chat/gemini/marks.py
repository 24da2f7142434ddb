"""What `thoughtSignature` may hold: Google's own proof, or another vendor's in an envelope.

Google's travel through the neutral form in an envelope of their own (`protocols.chat.envelopes`).
Those of another vendor's model that answers a Gemini client go in base64, as Google's clients
demand, and are taken out again when the client sends the turn back.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.envelopes import Envelope, seal, unseal
from meterway.protocols.dialects import Dialect

_PREFIX = b"meterway:"
# Nine bytes end on a character of base64, so all envelopes begin alike.
START: Final = base64.b64encode(_PREFIX).decode()
_marks = re.compile(b'"(%b[A-Za-z0-9+/=]*)"' % re.escape(START.encode())).finditer
_SIGNATURE, _REDACTED = b"s", b"r"
UNSIGNED: Final = "skip_thought_signature_validator"
"""The signature of a call that none of Google's models made."""


def read_mark(mark: str) -> str | neutral.RedactedThinking:
    """Return the neutral signature that `mark` is, or the reasoning it holds encrypted."""
    if mark.startswith(START):
        try:
            kind, text = _opened(mark)
        except (binascii.Error, UnicodeDecodeError):
            return _own(mark)
        return neutral.RedactedThinking(data=text) if kind == _REDACTED else text
    return _own(mark)


def _opened(mark: str) -> tuple[bytes, str]:
    payload = base64.b64decode(mark, validate=True).removeprefix(_PREFIX)
    return payload[:1], payload[1:].decode()


def _own(mark: str) -> str:
    return seal(Envelope(Dialect.GEMINI, "signature", mark))


def own_mark(signature: str | None) -> str | None:
    """Return the mark that Google gave; None where another vendor signed, or nobody."""
    envelope = None if signature is None else unseal(signature)
    if envelope is None or envelope.dialect is not Dialect.GEMINI:
        return None
    return envelope.value


def makers_of(contents: msgspec.Raw) -> Iterator[str]:
    """Yield the makers of the OpenAI thoughts that a request's turns bring, in their order."""
    for found in _marks(contents):
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            envelope = unseal(_opened(found[1].decode())[1])
            if envelope is not None and envelope.maker:
                yield envelope.maker


def write_signature(signature: str) -> str:
    """Return the mark that a client is told for a neutral signature."""
    own = own_mark(signature)
    return _envelope(_SIGNATURE, signature) if own is None else own


def write_redacted(data: str) -> str:
    """Return the mark that a client is told for reasoning its vendor encrypted."""
    return _envelope(_REDACTED, data)


def _envelope(kind: bytes, text: str) -> str:
    return base64.b64encode(_PREFIX + kind + text.encode()).decode()
