"""Journals as values."""

from typing import NamedTuple

import msgspec


class Cursor(NamedTuple):
    """A place in a journal: the number of a segment, from 1, and a position in bytes within it."""

    segment: int
    position: int


class Place(msgspec.Struct, frozen=True):
    """A folder of journals: its own name, and those of the journals in it."""

    place: str | None
    names: frozenset[str]


class Registered(msgspec.Struct, frozen=True):
    """One row of the table of journals; up to `cursor` everything is posted."""

    id: int
    name: str
    place: str
    cursor: Cursor
    is_closed: bool
