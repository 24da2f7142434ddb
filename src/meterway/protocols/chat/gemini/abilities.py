"""What a model served over the Gemini API accepts, read from its name's version.

Sources: https://ai.google.dev/gemini-api/docs/thinking (levels and budgets),
https://ai.google.dev/gemini-api/docs/thought-signatures and
https://ai.google.dev/gemini-api/docs/function-calling (files in results). Names without a version
(`gemini-flash-latest`) are taken as the newest; what is no Gemini (Gemma) does not think.
"""

import re
from functools import lru_cache

import msgspec

_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?=-|$)")
_NEWEST = (99, 0)


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that decide how a request is written.

    `levels` are those of `thinkingLevel`, least first, empty where there is none; `budgets` the
    least and the most of `thinkingBudget`, None where there is none, `stops` whether a budget of
    0 turns thinking off. `signed`: a function call without signature is refused. `files`: a
    function's result may hold pictures and files.
    """

    levels: tuple[str, ...] = ()
    budgets: tuple[int, int] | None = None
    stops: bool = False
    signed: bool = False
    files: bool = False


@lru_cache(maxsize=1024)
def abilities_of(model: str) -> Abilities:
    """Return the abilities of the model an upstream calls `model`."""
    name = model.lower()
    if "gemini" not in name:
        return Abilities()
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    if version >= (3, 0):
        return Abilities(levels=_levels(name, version), signed=True, files=True)
    if version < (2, 5):
        return Abilities()
    if "lite" in name:
        return Abilities(budgets=(512, 24_576), stops=True)
    if "pro" in name:
        return Abilities(budgets=(128, 32_768))
    return Abilities(budgets=(0, 24_576), stops=True)


def _levels(name: str, version: tuple[int, int]) -> tuple[str, ...]:
    if "pro" not in name:
        return ("minimal", "low", "medium", "high")
    return ("low", "high") if version == (3, 0) else ("low", "medium", "high")
