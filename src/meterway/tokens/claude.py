"""Claude's tokenizers: exact counts of text, by the cheapest cover of a marked stream.

Text is cut into runs that no piece of the vocabulary crosses, so that each run has a cost of its
own, which is remembered; a text costs the sum of its runs once their borders are settled. The
rules at the borders are those ctok 1.3 measured (MIT, https://github.com/sanderland/ctok).
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from meterway.tokens import vocabulary
from meterway.tokens.claude_text import (
    BOW,
    CAPS,
    EOW,
    HIDDEN,
    SHIFT,
    cased,
    class_of,
    class_table,
    hide_markers,
    normal,
)
from meterway.tokens.tiling import Tiling

_WORD, _SPACE, _PLAIN, _SYMBOL = range(4)
_BURST: Final = 256  # runs between two chances for other work
_PART: Final = 16_384  # characters split into runs at once
_CUT = re.compile("(?<=[ \n])(?=[A-Za-z])")
_REMEMBERED: Final = 200_000  # runs
_REMEMBERED_LENGTH: Final = 64  # characters of a run
_CASES = (SHIFT, CAPS)
_SUFFIXES = frozenset({"s", "t", "d", "m", "ll", "re", "ve"})
_SUBRUN = re.compile("p+|[lv][lv]*|q[qv]*|[nN][nNv]*|[dD]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What tells one generation of the tokenizer from another.

    `caps_from` is the shortest word marked as all capitals (None: never); `opens_word` says
    whether the message frame ends in a word opening that absorbs one leading space.
    """

    vocabulary: str
    straight_quotes: bool
    caps_from: int | None
    opens_word: bool


CLAUDE_3 = Rules("claude3", straight_quotes=True, caps_from=4, opens_word=True)
CLAUDE_4_7 = Rules("claude47", straight_quotes=False, caps_from=None, opens_word=True)
CLAUDE_4_8 = Rules("claude47", straight_quotes=False, caps_from=None, opens_word=False)


class _Run:
    """A run of one kind with its costs; `opens` and `closes` tell which border markers it takes.

    `costs` is indexed by 2 * (with the opening marker) + (with the closing one).
    """

    __slots__ = ("closes", "costs", "kind", "opens", "text")

    def __init__(
        self, kind: int, text: str, costs: list[int], *, opens: bool, closes: bool
    ) -> None:
        self.kind = kind
        self.text = text
        self.costs = costs
        self.opens = opens
        self.closes = closes


class ClaudeEngine:
    """Counts text as one generation of Claude does."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        pieces = [p.decode() for p in vocabulary.tokens(rules.vocabulary)]
        prefixes = vocabulary.tokens(f"{rules.vocabulary}-bytes")
        self._tiling = Tiling(pieces, prefixes, HIDDEN)
        alone = _alone(pieces)
        self._alone = re.compile(f"(?:{alone})+")
        self._split = _splitter(f"(?:{alone})").findall
        self._runs: dict[str, _Run] = {}
        self._seams = {s: self._tiling.cost(f"'{s}{EOW}") - 1 for s in _SUFFIXES}
        self._edge = _Run(_PLAIN, "", [0], opens=False, closes=False)

    def steps(self, text: str) -> Generator[None, None, int]:
        """Count `text`, yielding now and then so that other work gets its turn.

        Returns the number of tokens of the text as the content of one message, frame apart.
        """
        norm = normal(text, straight_quotes=self._rules.straight_quotes)
        body = norm.rstrip("\n")
        tail = self._tail(len(norm) - len(body))
        if self._rules.opens_word and text[:1] == body[:1] == " " != body[1:2]:
            body = body[1:]
        yield
        runs = []
        for part in _parts(hide_markers(body)):
            for at, run in enumerate(self._split(part)):
                runs.append(self._runs.get(run) or self._learn(run))
                if at % _BURST == 0:
                    yield
        if not runs:
            return tail + self._rules.opens_word
        runs.append(self._edge)
        return tail + self._head(runs[0], runs[1]) + (yield from self._sum(runs))

    def _tail(self, newlines: int) -> int:
        """Return what newlines at the end cost: the frame adds two and pays for one token."""
        return self._tiling.cost("\n" * (newlines + 2)) - 1 if newlines else 0

    def _head(self, first: _Run, second: _Run) -> int:
        """Return what the frame's word opening costs where the first run does not absorb it."""
        if not self._rules.opens_word or first.kind == _WORD:
            return 0
        if first.kind == _SYMBOL:
            return self._tiling.unit(" ") if _opens_quoted(first, second) else 0
        return 0 if first.opens else 1

    def _sum(self, runs: list[_Run]) -> Generator[None, None, int]:
        """Add up the runs. One space between a closing and an opening marker costs nothing."""
        total = held = 0  # held: the cost of such a space whose right side is not known yet
        closed, left = False, self._rules.opens_word
        before = last = self._edge
        for at, (run, after) in enumerate(pairwise(runs)):
            kind = run.kind
            if kind == _WORD:
                total += run.costs[0]
                if run.text in _SUFFIXES and _is_contracted(before, last):
                    total += self._seams[run.text] - run.costs[0]
                held, closed = 0, True
            elif kind == _SPACE:
                if closed and run.text == " ":
                    held = run.costs[0]
                else:
                    total += run.costs[0]
                closed = False
            elif kind == _PLAIN:
                total += held + run.costs[0]
                held, closed = 0, False
            else:
                opening = left and (run.opens or at == 0) and not _opens_quoted(run, after)
                closed = run.closes and after.kind == _SPACE and after.costs[1] == 1
                total += self._marked(run, 2 * opening + closed) + (0 if opening else held)
                held = 0
            left = kind == _SPACE and run.closes
            before, last = last, run
            if at % _BURST == 0:
                yield
        return total + held

    def _learn(self, text: str) -> _Run:
        """Make the run of `text` and remember it, unless it is long."""
        run = self._make(text)
        if len(text) <= _REMEMBERED_LENGTH:
            if len(self._runs) >= _REMEMBERED:
                self._runs.clear()
            self._runs[text] = run
        return run

    def _make(self, text: str) -> _Run:
        kind = class_of(text[0])
        cost = self._tiling.cost
        if kind == "w":
            word = cased(text, self._rules.caps_from)
            at = int(word[0] in _CASES)
            marked = word[:at] + BOW + word[at:] + EOW
            return _Run(_WORD, text, [cost(marked)], opens=True, closes=True)
        if kind == "m":
            return _Run(_WORD, text, [cost(BOW + text + EOW)], opens=True, closes=True)
        if kind == "s":
            single = int(text[0] == " " and text[:2] != "  ")
            costs = [cost(text), single]
            return _Run(_SPACE, text, costs, opens=text[0] == " ", closes=text[-1] == " ")
        if kind == "d" and text.isascii():
            return _Run(_PLAIN, text, [cost(text)], opens=False, closes=False)
        if self._alone.fullmatch(text):
            costs = [sum(map(self._tiling.unit, text))]
            return _Run(_PLAIN, text, costs, opens=False, closes=False)
        opens, closes = _borders(text)
        return _Run(_SYMBOL, text, [-1] * 4, opens=opens, closes=closes)

    def _marked(self, run: _Run, borders: int) -> int:
        """Return the cost of a run of symbols with its border markers, see `_Run`."""
        known = run.costs[borders]
        if known < 0:
            text = (BOW if borders & 2 else "") + run.text + (EOW if borders & 1 else "")
            known = run.costs[borders] = self._tiling.cost(text)
        return known


def _parts(text: str) -> Iterator[str]:
    """Cut long text between space and letter, where runs end anyway."""
    start = 0
    while cut := _CUT.search(text, start + _PART):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


def _borders(text: str) -> tuple[bool, bool]:
    """Whether a run of symbols takes an opening marker after a space, a closing one before it."""
    parts = _SUBRUN.findall("".join(map(class_of, text)))
    first, last = parts[0], parts[-1]
    opens = first[0] in "pqvD" or (first[0] in "nN" and first == first[0] * len(first))
    closes = last[-1] in "pqvD" or (last[0] in "nN" and last == last[0] * len(last))
    return opens, closes


def _opens_quoted(run: _Run, after: _Run) -> bool:
    """Whether `run` is one apostrophe before a word, which takes no opening marker."""
    return run.text == "'" and after.kind == _WORD


def _is_contracted(before: _Run, last: _Run) -> bool:
    """Whether the apostrophe ending `last` opens the word after it, as in "it's"."""
    if last.kind != _SYMBOL or last.text[-1] != "'":
        return False
    if last.text == "'":
        return not (before.kind == _SYMBOL and before.closes)
    return class_of(last.text[-2]) != "p" and not _borders(last.text[:-1])[1]


def _splitter(alone: str) -> re.Pattern[str]:
    """Return the pattern of runs, `alone` being the class of characters that no piece joins."""
    word, mark, digit, space, selector = map(_in_class, ("w", "m", "dD", "s", "v"))
    symbol = _in_class("pqnNlv")
    return re.compile(
        f"[{word}][{word}{mark}]*|[{space}]+|[{digit}]+|{alone}+(?![{selector}])"
        f"|(?:(?!{alone})[{symbol}]|{alone}(?=[{selector}]))+"
        f"|[{mark}]+(?:[{word}][{word}{mark}]*)?"
    )


def _alone(pieces: list[str]) -> str:
    """Return the pattern of a letter standing alone which occurs in no longer piece."""
    joined = {c for p in pieces if len(p) > 1 for c in p if class_of(c) == "l"}
    exclude = "".join(f"\\U{ord(c):08x}" for c in sorted(joined))
    return (f"(?![{exclude}])" if exclude else "") + f"[{_in_class('l')}]"


def _in_class(letters: str) -> str:
    """Return the ranges of code points whose class is one of `letters`, for a regex set."""
    ranges = [
        f"\\u{found.start():04x}-\\u{found.end() - 1:04x}"
        for found in re.finditer(f"[{letters}]+", class_table())
    ]
    if "l" in letters:
        ranges.append("\\U00010000-\\U0010ffff")
    return "".join(ranges)
