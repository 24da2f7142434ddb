"""Cuts what is said into the pieces a stream sends, and writes JSON; shared by both wires."""

import json
import re
from collections.abc import Iterator
from typing import Any

_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_FRAGMENT = 7  # characters of tool arguments in one event: cuts escapes and names alike


def words(text: str) -> list[str]:
    """Return pieces of about a word that join to `text`."""
    return _PIECE.findall(text)


def fragments(text: str) -> Iterator[str]:
    """Yield short pieces that join to `text`, cut without regard to its meaning."""
    for start in range(0, len(text), _FRAGMENT):
        yield text[start : start + _FRAGMENT]


def logprobs(pieces: list[str], top: int) -> list[dict[str, Any]]:
    """Return OpenAI's log probabilities of some pieces, `top` alternatives each."""
    return [
        {
            "token": piece,
            "logprob": -0.01,
            "bytes": list(piece.encode()),
            "top_logprobs": [_alternative(piece, rank) for rank in range(top)],
        }
        for piece in pieces
    ]


def _alternative(piece: str, rank: int) -> dict[str, Any]:
    token = piece if rank == 0 else f"{piece}{rank}"
    return {"token": token, "logprob": -0.01 - rank, "bytes": list(token.encode())}


def compact(value: Any) -> bytes:
    """Write `value` as JSON in UTF-8; half a surrogate pair becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
