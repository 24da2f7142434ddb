"""What one cell of the dialect matrix can claim, and how a claim is checked.

A cell is (client dialect, upstream dialect, capability); each is checked for whole replies and for
streams. A claim is one of: it travels unchanged, it is carried in other words, it is carried with
something left out by name, it is refused by name, or the client's dialect cannot ask for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meterway.protocols.dialects import Dialect

OAI, ANT = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
Json = Any
Pair = tuple[Dialect, Dialect]
PAIRS: tuple[Pair, ...] = ((OAI, OAI), (OAI, ANT), (ANT, OAI), (ANT, ANT))
TITLES = {OAI: "OpenAI", ANT: "Anthropic"}


class Absent:
    """Stands in an expectation for a key that must not be there."""


class Anything:
    """Stands in an expectation for a value that must be there, whatever it is."""


ABSENT, ANYTHING = Absent(), Anything()


@dataclass(frozen=True)
class Unchanged:
    """Same dialect: the bytes pass, with the model's name set."""


@dataclass(frozen=True)
class Carried:
    """The upstream is sent `body`; what was left out is named in `dropped`."""

    body: Mapping[str, Json]
    dropped: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The request is refused before any upstream hears of it, naming `param`."""

    param: str


@dataclass(frozen=True)
class NotAskable:
    """The client's dialect has no words for it."""

    why: str


@dataclass(frozen=True)
class Heard:
    """The client is told `reply`, whole and, gathered, streamed."""

    reply: Mapping[str, Json]
    note: str = ""


@dataclass(frozen=True)
class NotSayable:
    """The upstream's dialect has no words for it, so no client can be told."""

    why: str


Asked = Unchanged | Carried | Refused | NotAskable
Told = Unchanged | Heard | NotSayable


@dataclass(frozen=True)
class Ask:
    """A capability of requests: what each client sends, and what each upstream then gets."""

    title: str
    clients: Mapping[Dialect, Mapping[str, Json]]
    cells: Mapping[Pair, Asked]
    models: Mapping[Dialect, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tell:
    """A capability of replies: what each upstream answers, and what each client then hears."""

    title: str
    upstreams: Mapping[Dialect, Mapping[str, Json]]
    cells: Mapping[Pair, Told]


def check(expected: Json, found: Json, where: str = "$") -> None:
    """Assert that `found` holds `expected`: mappings may hold more, lists and scalars may not."""
    if expected is ANYTHING:
        return
    if isinstance(expected, Mapping):
        assert isinstance(found, dict), f"{where}: {found!r} is no object"
        for key, value in expected.items():
            if value is ABSENT:
                assert key not in found, f"{where}.{key} is there: {found[key]!r}"
            else:
                assert key in found, f"{where}.{key} is missing in {found!r}"
                check(value, found[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), f"{where}: {found!r} is no list"
        assert len(found) == len(expected), f"{where}: {found!r}"
        for place, (left, right) in enumerate(zip(expected, found, strict=True)):
            check(left, right, f"{where}[{place}]")
    else:
        assert found == expected, f"{where}: {found!r} is not {expected!r}"


def raw(body: Mapping[str, Json]) -> bytes:
    return msgspec.json.encode(body)


def words(cell: Asked | Told) -> str:
    """A cell in the words of the documentation."""
    match cell:
        case Unchanged():
            return "unchanged"
        case Carried(dropped=dropped, note=note):
            left_out = ", ".join(f"`{name}`" for name in dropped)
            named = f"left out and named: {left_out}" if dropped else ""
            return "; ".join(filter(None, (note, named))) or "carried"
        case Refused(param=param):
            return f"refused, naming `{param}`"
        case NotAskable(why=why) | NotSayable(why=why):
            return f"— ({why})"
        case Heard(note=note):
            return note or "carried"
