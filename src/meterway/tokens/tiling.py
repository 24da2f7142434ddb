"""The cheapest way to cover a string with pieces of a vocabulary, as a number of tokens."""

from collections.abc import Iterable, Mapping


class Tiling:
    """A vocabulary of strings that cost one token each, over a floor of UTF-8 byte prefixes.

    `pieces` are whole strings, `prefixes` are byte strings that cost one token where a character
    is no piece, and `aliases` maps characters (by code point) to the ones whose bytes they cost.
    """

    def __init__(
        self, pieces: Iterable[str], prefixes: Iterable[bytes], aliases: Mapping[int, str]
    ) -> None:
        self._pieces: dict[str, bool] = {}
        for piece in pieces:
            for end in range(1, len(piece)):
                self._pieces.setdefault(piece[:end], False)
            self._pieces[piece] = True
        self._aliases = aliases
        units = {
            piece.encode()
            for piece, whole in self._pieces.items()
            if whole and len(piece) == 1 and piece not in aliases.values()
        }
        self._bytes = units | set(prefixes)
        self._units: dict[str, int] = {}
        self._runs: dict[str, list[int]] = {}
        self._steps: dict[str, list[int]] = {}

    def __contains__(self, text: str) -> bool:
        return self._pieces.get(text, False)

    def unit(self, char: str) -> int:
        """Return the cost of one character standing alone, in tokens."""
        cost = self._units.get(char)
        if cost is None:
            cost = self._units[char] = 1 if char in self else self._floor(char)
        return cost

    def _floor(self, char: str) -> int:
        raw = self._aliases.get(ord(char), char).encode()
        best = [0]
        for end in range(1, len(raw) + 1):
            starts = (s for s in range(end) if end - s == 1 or raw[s:end] in self._bytes)
            best.append(1 + min(best[s] for s in starts))
        return best[-1]

    def cost(self, text: str) -> int:
        """Return the least number of tokens that cover `text`."""
        if text in self:
            return 1
        if len(text) > 1 and text == text[0] * len(text):
            return self._run(text[0], len(text))
        pieces, size = self._pieces, len(text)
        best = [size * 4] * (size + 1)
        best[0] = 0
        for start in range(size):
            here = best[start]
            if (alone := here + self.unit(text[start])) < best[start + 1]:
                best[start + 1] = alone
            end = start + 2
            while end <= size and (whole := pieces.get(text[start:end])) is not None:
                if whole and here + 1 < best[end]:
                    best[end] = here + 1
                end += 1
        return best[-1]

    def _run(self, char: str, size: int) -> int:
        """Return the cost of one character repeated, which only the lengths of pieces decide.

        Fewer than `longest` pieces of an optimal cover are shorter than the longest one, as any
        `longest` of them hold some that longest ones replace. Hence a run beyond the square of
        that length costs one token more for each `longest` characters.
        """
        steps = self._steps.get(char)
        if steps is None:
            steps = self._steps[char] = self._repeats(char)
        longest = steps[-1]
        if longest == 1:
            return size * self.unit(char)
        over = max(0, -((longest * longest - size) // longest))
        best = self._runs.setdefault(char, [0])
        while len(best) <= size - over * longest:
            end = len(best)
            alone = best[-1] + self.unit(char)
            whole = (best[end - step] + 1 for step in steps[1:] if step <= end)
            best.append(min(alone, min(whole, default=alone)))
        return best[size - over * longest] + over

    def _repeats(self, char: str) -> list[int]:
        """Return the lengths at which `char` repeated is a piece, rising, 1 always among them."""
        steps, size = [1], 2
        while (whole := self._pieces.get(char * size)) is not None:
            if whole:
                steps.append(size)
            size += 1
        return steps
