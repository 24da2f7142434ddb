"""What only one vendor can read, in an envelope that names the dialect it belongs to.

A signature, redacted reasoning or an encrypted thought is worth something to its own vendor alone
(ADR 0010, point 6). Where a client's dialect has one field for all of them, or the neutral form
no word for whose it is, it travels as `mw1.` and base64url of `{"d": dialect, "k": kind, "v":
value, "i": id}`. Kinds: `signature` of a thought in words, `redacted` thought, `call`: the
signature of the tool call whose id is `i`; `item`: an item's `encrypted_content`, `i` its id;
`summary`: what a compaction left of a conversation.
A text without the mark is the vendor's own, as it came.

What only one account at a vendor can read names its maker too (ADR 0012): in the envelope as `m`,
and before a value that is told in its vendor's own dialect, as `mw1.`, the maker and a dot.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from meterway.protocols.dialects import Dialect

Kind: TypeAlias = Literal["signature", "redacted", "call", "item", "summary"]
_MARK: Final = "mw1."


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value, the dialect whose vendor can read it, and what it is; who made it, if it says."""

    dialect: Dialect = msgspec.field(name="d")
    kind: Kind = msgspec.field(name="k")
    value: str = msgspec.field(name="v")
    id: str = msgspec.field(name="i", default="")
    maker: str = msgspec.field(name="m", default="")


# All envelopes begin so in JSON: their first key, in base64 up to where its value begins.
_IN_JSON: Final = b'"' + _MARK.encode() + base64.urlsafe_b64encode(b'{"d":"')
_BACKSLASH = 0x5C
_MAKER = "([A-Za-z0-9_-]{12})"
_labelled = re.compile(f"{re.escape(_MARK)}{_MAKER}[.]").match
_made = re.compile(
    b'"%b(?:%b[.]|(%b[A-Za-z0-9_=-]*)")'
    % (re.escape(_MARK.encode()), _MAKER.encode(), _IN_JSON[1 + len(_MARK) :])
).finditer
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


def seal(envelope: Envelope) -> str:
    """Return the envelope as text."""
    return _MARK + base64.urlsafe_b64encode(_encode(envelope)).decode()


def unseal(text: str) -> Envelope | None:
    """Return the envelope that `text` is; None where it is a vendor's own, or a broken one."""
    if not text.startswith(_MARK) or _labelled(text):
        return None
    try:
        return _decode(base64.urlsafe_b64decode(text[len(_MARK) :]))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None


def is_sealed(text: str | None) -> bool:
    """Whether `text` is an envelope: no vendor may be sent it as its own."""
    return text is not None and text.startswith(_MARK)


def mentions_sealed(raw: msgspec.Raw) -> bool:
    """Whether JSON may hold an envelope: cheap, as it is asked of every request that passes."""
    return _IN_JSON in bytes(raw)


def label(text: str, maker: str) -> str:
    """Return a vendor's own value with its maker's name before it; as it is where that is empty."""
    return f"{_MARK}{maker}.{text}" if maker else text


def unlabel(text: str) -> tuple[str, str]:
    """Return the maker and the value of a labelled text; of others no maker, and the text."""
    found = _labelled(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def makers_in(raw: msgspec.Raw) -> Iterator[str]:
    """Yield the makers named anywhere in JSON, in the order they stand there, as often as they do.

    What a client wrote is believed: a maker is a wish where to go first, and nothing else.
    """
    text = bytes(raw)
    for found in _made(text):
        if text[found.start() - 1] == _BACKSLASH:
            continue  # somebody's words, which quote one
        if found[1] is not None:
            yield found[1].decode()
        elif (envelope := unseal(_MARK + found[2].decode())) is not None and envelope.maker:
            yield envelope.maker
