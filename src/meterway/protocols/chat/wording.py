"""Words that may still be the JSON they came as, so that long texts are translated unread.

Every dialect writes JSON: a text nobody looks at is copied with its escapes, where decoding and
encoding it again would be most of what the translation of a long history costs.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

Wording: TypeAlias = str | msgspec.Raw
"""What a text says, or the JSON string that says it; an encoder writes either.

A raw one is valid, in UTF-8 (`kit.json.decode_top` saw to both) and never empty.
"""

_decode = msgspec.json.Decoder(str).decode
_QUOTE = ord('"')
_EMPTY_LENGTH = len('""')


def unread(raw: msgspec.Raw) -> Wording | None:
    """Return `raw` as words that nobody has read yet, None where it is no JSON string."""
    if not raw or memoryview(raw)[0] != _QUOTE:
        return None
    return raw if len(raw) > _EMPTY_LENGTH else ""


def words_of(wording: Wording) -> str:
    """Return what `wording` says."""
    return wording if isinstance(wording, str) else _decode(wording)


def joined(wordings: Sequence[Wording], between: str) -> Wording:
    """Join `wordings`; one alone stays as it is."""
    if len(wordings) == 1:
        return wordings[0]
    return between.join([words_of(wording) for wording in wordings])
