"""What one cell of the dialect matrix can claim, and how a claim is checked.

A cell is (client dialect, upstream dialect, capability). Nobody writes it by hand: a row says once
per client how the capability is asked for, once per upstream what that is then sent, and by name
the pairs that differ. The same for replies: once per upstream how it says a thing, once per client
what it hears. A client that cannot ask, or an upstream that cannot say, has its reason in the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeAlias, TypeVar

import msgspec

from meterway.protocols.dialects import Dialect

CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
MESSAGES, GEMINI = Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI
COMPLETIONS, COMPLETE = Dialect.OPENAI_COMPLETIONS, Dialect.ANTHROPIC_COMPLETE
Json = Any
Body: TypeAlias = Mapping[str, Json]
Pair: TypeAlias = tuple[Dialect, Dialect]
UPSTREAMS = (CHAT, RESPONSES, MESSAGES, GEMINI)
CLIENTS = (*UPSTREAMS, COMPLETIONS, COMPLETE)
PAIRS: tuple[Pair, ...] = tuple(product(CLIENTS, UPSTREAMS))
V = TypeVar("V")


class Absent:
    """Stands in an expectation for a key that must not be there."""


class Anything:
    """Stands in an expectation for a value that must be there, whatever it is."""


ABSENT, ANYTHING = Absent(), Anything()
ITS_PLACES = ("<the places of the example>",)
"""Stands in a claim for the places in the client's request that the row's example names."""


# -- requests --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """How a client asks: fields of its request, and where in it that stands which may not pass."""

    fields: Body
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotAskable:
    """The client's dialect has no words for it."""

    why: str


@dataclass(frozen=True)
class Unchanged:
    """Same dialect: what was sent passes as it is, with the model's name set."""


@dataclass(frozen=True)
class Carried:
    """The upstream is sent `body`; what was left out is named in `dropped`, and nothing else."""

    body: Body
    dropped: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The request is refused before any upstream hears of it, naming `param`."""

    param: str = ITS_PLACES[0]


Sent: TypeAlias = Carried | Refused
Asked: TypeAlias = Unchanged | Sent | NotAskable


@dataclass(frozen=True)
class Ask:
    """A capability of requests: how each client asks, and what each upstream is then sent.

    `is_variant`: other models than those of the row before, whose note says what they are sent.
    """

    title: str
    clients: Mapping[Dialect, Example | NotAskable]
    upstreams: Mapping[Dialect, Sent]
    pairs: Mapping[Pair, Sent] = field(default_factory=dict)
    models: Mapping[Dialect, str] = field(default_factory=dict)
    is_variant: bool = False

    def example(self, client: Dialect) -> Body:
        """The fields of a request of `client`."""
        example = self.clients[client]
        assert isinstance(example, Example)
        return example.fields

    def cell(self, pair: Pair) -> Asked | None:
        """What is claimed of `pair`, None where nothing is."""
        client, upstream = pair
        example = self.clients.get(client)
        if example is None or isinstance(example, NotAskable):
            return example
        if client is upstream:
            return self.pairs.get(pair, Unchanged())
        claim = self.pairs.get(pair) or self.upstreams.get(upstream)
        match claim:
            case Carried(body=body, dropped=dropped, note=note) if dropped is ITS_PLACES:
                return Carried(body, example.places, note)
            case Refused(param=param) if param == ITS_PLACES[0]:
                return Refused(example.places[0])
            case _:
                return claim


# -- replies ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NotSayable:
    """The upstream's dialect has no words for it, so no client can be told."""

    why: str


@dataclass(frozen=True)
class Heard:
    """The client is told `reply`, whole and, gathered, streamed.

    `is_told`: it hears of the capability, not only of the rest of the reply.
    """

    reply: Body
    note: str = ""
    is_told: bool = True


@dataclass(frozen=True)
class Failing:
    """The client's dialect has no words for it: the reply fails as one the upstream got wrong."""

    why: str


Hearing: TypeAlias = Heard | Failing
Told: TypeAlias = Unchanged | Hearing | NotSayable | NotAskable


@dataclass(frozen=True)
class Tell:
    """A capability of replies: what each upstream answers, and what each client then hears.

    `asking` are the fields of the clients' requests that such a reply answers.
    """

    title: str
    upstreams: Mapping[Dialect, Body | NotSayable]
    clients: Mapping[Dialect, Hearing | NotAskable]
    pairs: Mapping[Pair, Hearing] = field(default_factory=dict)
    asking: Mapping[Dialect, Body] = field(default_factory=dict)

    def cell(self, pair: Pair) -> Told | None:
        """What is claimed of `pair`, None where nothing is."""
        client, upstream = pair
        heard = self.clients.get(client)
        if isinstance(heard, NotAskable):
            return heard
        reply = self.upstreams.get(upstream)
        if reply is None or isinstance(reply, NotSayable):
            return reply
        if client is upstream:
            return self.pairs.get(pair, Unchanged())
        return self.pairs.get(pair) or heard

    def answer(self, upstream: Dialect) -> Json:
        """The reply of `upstream`."""
        reply = self.upstreams[upstream]
        assert not isinstance(reply, NotSayable)
        return reply


# -- how rows are written --------------------------------------------------------------------------


def asks(fields: Body, *places: str) -> Example:
    """An example whose `places` a claim may name."""
    return Example(fields, places)


def clients(
    *,
    chat: Example | Body | str,
    responses: Example | Body | str,
    messages: Example | Body | str,
    gemini: Example | Body | str,
    text: str = "",
    completions: Example | Body | str = "",
    complete: Example | Body | str = "",
) -> dict[Dialect, Example | NotAskable]:
    """How each client asks; a text is the reason why one cannot, `text` that of both legacy ones.

    A client left out of a row fails it: an empty reason is none.
    """
    given = (chat, responses, messages, gemini, completions or text, complete or text)
    return {
        dialect: _example(said) for dialect, said in zip(CLIENTS, given, strict=True) if said != ""
    }


def _example(said: Example | Body | str) -> Example | NotAskable:
    if isinstance(said, str):
        return NotAskable(said)
    return said if isinstance(said, Example) else Example(said)


def upstreams(
    *,
    chat: Sent | Body | None = None,
    responses: Sent | Body | None = None,
    messages: Sent | Body | None = None,
    gemini: Sent | Body | None = None,
) -> dict[Dialect, Sent]:
    """What each upstream is sent; one may be left out where only its own clients can ask."""
    given = (chat, responses, messages, gemini)
    return {
        dialect: said if isinstance(said, Carried | Refused) else Carried(said)
        for dialect, said in zip(UPSTREAMS, given, strict=True)
        if said is not None
    }


def answers(
    *, chat: Body | str, responses: Body | str, messages: Body | str, gemini: Body | str
) -> dict[Dialect, Body | NotSayable]:
    """What each upstream answers; a text is the reason why one cannot."""
    given = (chat, responses, messages, gemini)
    return {
        dialect: NotSayable(said) if isinstance(said, str) else said
        for dialect, said in zip(UPSTREAMS, given, strict=True)
    }


def hear(
    *,
    chat: Hearing | Body | str | None = None,
    responses: Hearing | Body | str | None = None,
    messages: Hearing | Body | str | None = None,
    gemini: Hearing | Body | str | None = None,
    completions: Hearing | Body | str | None = None,
    complete: Hearing | Body | str | None = None,
) -> dict[Dialect, Hearing | NotAskable]:
    """What each client hears; a text is the reason why one cannot have asked for such a reply.

    One may be left out where every pair of its own is named.
    """
    given = (chat, responses, messages, gemini, completions, complete)
    return {
        dialect: _hearing(said)
        for dialect, said in zip(CLIENTS, given, strict=True)
        if said is not None
    }


def _hearing(said: Hearing | Body | str) -> Hearing | NotAskable:
    if isinstance(said, str):
        return NotAskable(said)
    return said if isinstance(said, Heard | Failing) else Heard(said)


# -- checking --------------------------------------------------------------------------------------


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


def raw(body: Body) -> bytes:
    return msgspec.json.encode(body)
