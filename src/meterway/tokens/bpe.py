"""OpenAI's byte-pair encodings, built with tiktoken from the rank files in the package."""

import re
from collections.abc import Generator, Iterator
from typing import Final

import tiktoken

from meterway.tokens import vocabulary
from meterway.tokens.types import Tokenizer

_CASE = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
# The splitting rules belong to the encodings: https://github.com/openai/tiktoken
_PATTERNS = {
    Tokenizer.O200K: "|".join(
        (
            rf"{_LEAD}{_CASE[0]}*{_CASE[1]}+{_SUFFIX}?",
            rf"{_LEAD}{_CASE[0]}+{_CASE[1]}*{_SUFFIX}?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
    Tokenizer.CL100K: "|".join(
        (
            r"'(?i:[sdmt]|ll|ve|re)",
            rf"{_LEAD}+\p{{L}}++",
            r"\p{N}{1,3}+",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
            r"\s++$",
            r"\s*[\r\n]",
            r"\s+(?!\S)",
            r"\s",
        )
    ),
}
_LONGEST: Final = 16_384  # characters encoded at once: far below where the library panics
_SEAM = re.compile(r"(?<=\n)(?=[^\s/])|(?<=\S)(?= [A-Za-z])")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BpeEngine:
    """Counts text in one of OpenAI's encodings. Special tokens in text are plain text."""

    def __init__(self, name: Tokenizer) -> None:
        ranks = {token: rank for rank, token in enumerate(vocabulary.tokens(name))}
        self._encode = tiktoken.Encoding(
            name=name, pat_str=_PATTERNS[name], mergeable_ranks=ranks, special_tokens={}
        ).encode_ordinary

    def steps(self, text: str) -> Generator[None, None, int]:
        """Count `text`, yielding after each slice so that other work gets its turn.

        A run of more than 16,384 characters without a place where no token can cross is cut
        anyway, which may cost a token or two more than the encoding's own count.
        """
        total = 0
        for part in _slices(_SURROGATE.sub("\ufffd", text)):
            total += len(self._encode(part))
            yield
        return total


def _slices(text: str) -> Iterator[str]:
    """Cut text into slices of bounded length, at the last seam no token crosses where one is."""
    start = 0
    while len(text) - start > _LONGEST:
        end = start + _LONGEST
        for seam in _SEAM.finditer(text, max(start + 1, end - _LONGEST // 2), end):
            end = seam.start()
        yield text[start:end]
        start = end
    yield text[start:]
