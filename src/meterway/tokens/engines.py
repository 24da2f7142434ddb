"""The tokenizers by name, each loaded when first asked for."""

from collections.abc import Generator
from functools import cache
from typing import Protocol

from meterway.tokens.bpe import BpeEngine
from meterway.tokens.claude import CLAUDE_3, CLAUDE_4_7, CLAUDE_4_8, ClaudeEngine
from meterway.tokens.types import Tokenizer


class Engine(Protocol):
    """A tokenizer."""

    def steps(self, text: str) -> Generator[None, None, int]:
        """Count `text`, yielding a few milliseconds apart; returns the number of tokens."""
        ...


_CLAUDE = {
    Tokenizer.CLAUDE_3: CLAUDE_3,
    Tokenizer.CLAUDE_4_7: CLAUDE_4_7,
    Tokenizer.CLAUDE_4_8: CLAUDE_4_8,
}


@cache
def engine(name: Tokenizer) -> Engine:
    """Return the one engine of that name; the first call loads its vocabulary."""
    return ClaudeEngine(_CLAUDE[name]) if name in _CLAUDE else BpeEngine(name)


def count(name: Tokenizer, text: str) -> int:
    """Return the number of tokens of `text`, without giving other work a turn."""
    work = engine(name).steps(text)
    while True:
        try:
            next(work)
        except StopIteration as done:
            return int(done.value)
