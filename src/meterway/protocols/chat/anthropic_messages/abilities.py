"""What a model served over Anthropic's protocol accepts, read from its name's version.

The vendor refuses with a 400 what a generation does not know, so an encoder must ask. Sources:
https://platform.claude.com/docs/en/build-with-claude/{adaptive-thinking,effort,structured-outputs}
and .../mid-conversation-system-messages. Names without a version are taken as the newest; models
that are no Claude (other vendors' Anthropic-compatible servers) get what such servers share.
"""

import re
from functools import lru_cache

import msgspec

DEFAULT_MAX_TOKENS = 8192
_SMALL_MAX_TOKENS = 4096
_NUMBER = re.compile(r"\d{1,2}")
_SPLIT = re.compile(r"[-_.@:/ ]+")
_NEWEST = (99, 0)
_EFFORTS = ("low", "medium", "high")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that decide how a request is written.

    `budget` and `adaptive` are the two forms of thinking, `always_thinks` that it cannot be
    turned off, `efforts` the levels of `output_config.effort`, `sampling` whether temperature,
    top_p and top_k exist, `one_sampler` that temperature excludes top_p, `system_turns` that
    `role: system` may stand inside `messages`, `structured` that `output_config.format` exists.
    """

    budget: bool = True
    adaptive: bool = False
    always_thinks: bool = False
    efforts: tuple[str, ...] = ()
    sampling: bool = True
    one_sampler: bool = False
    system_turns: bool = False
    structured: bool = True
    max_tokens: int = DEFAULT_MAX_TOKENS


@lru_cache(maxsize=1024)
def abilities_of(model: str) -> Abilities:
    """Return the abilities of the model an upstream calls `model`."""
    name = model.lower()
    if "claude" not in name:
        return Abilities()
    tokens = _SPLIT.split(name[name.index("claude") :])
    version = _version(tokens)
    return Abilities(
        budget=(3, 7) <= version <= (4, 6),
        adaptive=version >= (4, 6),
        always_thinks="fable" in tokens or "mythos" in tokens,
        efforts=_efforts(tokens, version),
        sampling=version < (4, 7),
        one_sampler=version >= (4, 1),
        system_turns=version >= (4, 8) and not ("sonnet" in tokens and version == (5, 0)),
        structured=version >= (4, 5) or ("opus" in tokens and version == (4, 1)),
        max_tokens=DEFAULT_MAX_TOKENS if version >= (3, 5) else _SMALL_MAX_TOKENS,
    )


def _version(tokens: list[str]) -> tuple[int, int]:
    for place, token in enumerate(tokens):
        if _NUMBER.fullmatch(token):
            after = tokens[place + 1] if place + 1 < len(tokens) else ""
            return int(token), int(after) if _NUMBER.fullmatch(after) else 0
    return _NEWEST


def _efforts(tokens: list[str], version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return (*_EFFORTS, "xhigh", "max")
    if version == (4, 6):
        return (*_EFFORTS, "max")
    if version == (4, 5) and "opus" in tokens:
        return _EFFORTS
    return ()
