"""Seals as values."""

from typing import NamedTuple

import msgspec


class Seal(msgspec.Struct, frozen=True):
    """One link of the chain; `at` in milliseconds, as it is hashed.

    `charges` counts those of its batch, or below zero those an erasure took away; `last_entry` is
    the last entry that it or one before covers.
    """

    batch: int
    at: int
    charges: int
    last_entry: int
    content: bytes
    digest: bytes


GENESIS = Seal(0, 0, 0, 0, b"", bytes(32))
"""What the first seal follows."""


class Erased(NamedTuple):
    """What was erased of the batches from `first` to `last`.

    Without a `digest` everything; else `first` is the one batch, `left` counts the charges that
    stayed, and `digest` is theirs.
    """

    first: int
    last: int
    left: int = 0
    digest: bytes = b""
