"""How Claude's tokenizers see text before vocabulary enters: normal form, character classes, case.

The rules are those measured by ctok 1.3 (MIT, https://github.com/sanderland/ctok); the tests hold
this implementation equal to it. Structural markers are single noncharacters inside our strings.
"""

import re
import unicodedata
from functools import cache

from meterway.tokens import vocabulary

BOW, EOW, PAD, SHIFT, CAPS = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
# A marker's own code point in text is moved to private use, which normalisation leaves empty.
HIDDEN = {0xE000 + i: glyph for i, glyph in enumerate((BOW, EOW, PAD, SHIFT, CAPS))}
_HIDE = {ord(glyph): hidden for hidden, glyph in HIDDEN.items()}

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_SPACE = re.compile("[\x00\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f]")
_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

# Case facts younger than Unicode 14, which Python 3.11 knows, or not Unicode's at all.
_NEW_LOWER = {"\u1c89": "\u1c8a", "\ua7cb": "\u0264"}
_NEW_SMALL = frozenset("\u10fc\ua7f2\ua7f3\ua7f4\uab69") | frozenset(_NEW_LOWER.values())
_NEW_MARKS = "\u0cf3\u0ece"
_UNCASED = "\u03f4"
_DOTTED_I, _SHARP_S = "\u0130", "\u1e9e"


def normal(text: str, *, straight_quotes: bool) -> str:
    """Return the normal form: NFC, controls and private use dropped, odd spaces made plain."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATE.sub("\ufffd", text))
    text = _CONTROL.sub("", text)
    if not text.isascii():
        text = _PRIVATE.sub("", text.replace("\u0e4d\u0e32", "\u0e33"))
        if straight_quotes:
            text = text.translate(_STRAIGHT)
    return _SPACE.sub(" ", text)


def hide_markers(text: str) -> str:
    """Return the text with characters that mean markers inside moved out of the way."""
    return text if text.isascii() else text.translate(_HIDE)


@cache
def class_table() -> str:
    """Return one letter for every code point of the basic plane.

    w letter, m combining mark that may open a word, d ASCII digit, D digit with borders,
    p punctuation, s white space; characters standing alone: l letter, n decimal, N other number,
    q punctuation, v variation selector. All other planes are l.
    """
    return vocabulary.read("classes").decode()


def class_of(char: str) -> str:
    """Return the class letter of one character, see `class_table`."""
    point = ord(char)
    return class_table()[point] if point < 0x10000 else "l"  # noqa: PLR2004  the basic plane ends there


def cased(word: str, caps_from: int | None) -> str:
    """Return a word with its case written as a leading marker, where the tokenizer does so.

    `caps_from` is the shortest length that gets the all-capitals marker; None means never.
    """
    if _SHARP_S in word:
        return word
    if _DOTTED_I in word:
        return _cased_dotted(word)
    if caps_from is not None and len(word) >= caps_from and _all_capitals(word):
        return CAPS + _lower(word).replace("\u03c2", "\u03c3")
    if _lower(word[:1]) == word[:1]:
        return word
    if _is_upper(word[0]) and not any(map(_is_upper, word[1:])):
        return SHIFT + _lower(word)
    return word


def _cased_dotted(word: str) -> str:
    """Case a word with İ: that letter keeps its form and only forbids a marker at the head."""
    head, tail = word[0], word[1:]
    if head == _DOTTED_I or not _is_upper(head):
        return word
    if any(_is_upper(c) for c in tail if c != _DOTTED_I):
        return word
    return SHIFT + _lower(head) + "".join(c if c == _DOTTED_I else _lower(c) for c in tail)


def _lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join(c if c == _UNCASED else _NEW_LOWER.get(c, c.lower()) for c in text)


def _is_upper(char: str) -> bool:
    return char in _NEW_LOWER or (char != _UNCASED and char.isupper() and _lower(char) != char)


def _is_lower(char: str) -> bool:
    return char in _NEW_SMALL or char.islower()


def _all_capitals(word: str) -> bool:
    """Whether some character is a capital, none is small and no letter or mark is without case."""
    some = False
    for char in word:
        if _is_upper(char):
            some = True
        elif _is_lower(char) or char in _NEW_MARKS or unicodedata.category(char)[0] in "LM":
            return False
    return some
