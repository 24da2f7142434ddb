"""Counting inside this process, without the counter."""

import asyncio

from meterway.tokens import engines
from meterway.tokens.types import Tokenizer


class LocalCounting:
    """Counts in a thread, with tokenizers loaded into this process."""

    async def count(self, tokenizer: Tokenizer, texts: list[str]) -> list[int]:
        """Return the tokens of each text."""
        return await asyncio.to_thread(lambda: [engines.count(tokenizer, t) for t in texts])

    async def close(self) -> None:
        """Nothing is held open."""
