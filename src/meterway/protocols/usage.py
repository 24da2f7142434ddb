"""What a call used, in token classes that never overlap."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

Counts: TypeAlias = Sequence[int]
"""A usage as bare counts, in the order of its classes; zeros at the end may be left out."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens per class; a token is counted in exactly one of them, and none is negative.

    `input` excludes cache, audio and images; `output` excludes reasoning and audio.
    Anthropic's `input_tokens` already excludes the cache; OpenAI's and Gemini's prompt counts
    include it, so their codecs subtract.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0

    @property
    def total_input(self) -> int:
        """Every token the model read, cached or not."""
        return (
            self.input
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.input_audio
            + self.input_image
        )

    @property
    def total_output(self) -> int:
        """Every token the model wrote, visible or not."""
        return self.output + self.reasoning + self.output_audio


CLASSES: Final = Usage.__struct_fields__
READ: Final = CLASSES.index("output")
"""How many of the classes are read; the model writes the others."""


class UsageSource(StrEnum):
    """Where the figures of a usage come from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
