"""Text that matches a simple regular expression, for schemas with a `pattern`.

Understood are literals, escapes, classes, groups, alternatives (the first is taken), repeats (the
fewest) and anchors at the ends. The pattern is a stranger's, so it is never run as a regular
expression: a text is right by construction, and what is not understood yields None.
"""

import re

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CLASSES = {
    "d": (("0", "9"),),
    "w": (("a", "z"), ("A", "Z"), ("0", "9"), ("_", "_")),
    "s": ((" ", " "), ("\t", "\r")),
}
_CANDIDATES = "a0A-_ .@/x1Z!"
_REPEAT = re.compile(r"\{(\d{1,4})(?:,\d*)?\}")
_LONGEST = 1000  # characters of a pattern, and of one repeat
_DEEPEST = 50

_Ranges = tuple[tuple[str, str], ...]


class _NotSimpleError(Exception):
    """The pattern uses what this reader does not understand."""


def sample(pattern: str) -> str | None:
    """Return a short text in which `pattern` is found, None where that takes a real solver."""
    if len(pattern) > _LONGEST:
        return None
    try:
        return _Reader(pattern).whole()
    except _NotSimpleError:
        return None


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        """Return a text for the whole pattern."""
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _NotSimpleError
        return text

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        if not (character := self._peek()):
            raise _NotSimpleError
        self._at += 1
        return character

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts = []
        if not self._depth and self._peek() == "^":
            self._at += 1
        while self._peek() not in {"", "|", ")"}:
            if not self._depth and re.compile(r"\$(\||$)").match(self._pattern, self._at):
                self._at += 1
                break
            parts.append(self._repeated(self._atom()))
        return "".join(parts)

    def _atom(self) -> str:
        match character := self._next():
            case ".":
                return "a"
            case "(":
                return self._group()
            case "[":
                return self._set()
            case "\\":
                return _member(*self._escape())
            case "*" | "+" | "?" | "{" | "^" | "$":
                raise _NotSimpleError
            case _:
                return character

    def _escape(self) -> tuple[_Ranges, bool]:
        """Return the characters an escape stands for, and whether it means all others."""
        character = self._next()
        if character.lower() in _CLASSES:
            return _CLASSES[character.lower()], character.isupper()
        character = _ESCAPES.get(character, character)
        if character.isalnum():
            raise _NotSimpleError
        return ((character, character),), False

    def _group(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotSimpleError
        if self._peek() == "?":
            if not self._pattern.startswith("?:", self._at):
                raise _NotSimpleError
            self._at += 2
        text = self._alternatives()
        if self._next() != ")":
            raise _NotSimpleError
        self._depth -= 1
        return text

    def _set(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[str, str]] = []
        while (character := self._next()) != "]":
            if character == "\\":
                found, others = self._escape()
                if others:
                    raise _NotSimpleError
                ranges.extend(found)
            elif self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in "]\\":
                self._at += 1
                ranges.append((character, self._next()))
            else:
                ranges.append((character, character))
        return _member(tuple(ranges), negated)

    def _repeated(self, text: str) -> str:
        match self._peek():
            case "*" | "?":
                count = 0
            case "+":
                count = 1
            case "{":
                bounds = _REPEAT.match(self._pattern, self._at)
                if bounds is None or int(bounds[1]) * len(text) > _LONGEST:
                    raise _NotSimpleError
                self._at = bounds.end() - 1
                count = int(bounds[1])
            case _:
                return text
        self._at += 1
        if self._peek() == "?":
            self._at += 1
        return text * count


def _member(ranges: _Ranges, negated: bool) -> str:  # noqa: FBT001 - a class and its sign
    """Return a character inside the ranges, or outside of them all."""
    characters: list[str] = [*_CANDIDATES, *(low for low, _ in ranges)]
    for character in characters:
        if any(low <= character <= high for low, high in ranges) is not negated:
            return character
    raise _NotSimpleError
