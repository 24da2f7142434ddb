"""The names in an upstream's list of models, in OpenAI's form, in Anthropic's and in Google's.

Follows https://platform.openai.com/docs/api-reference/models/list,
https://platform.claude.com/docs/en/api/models-list and https://ai.google.dev/api/models; engines
answer in the first. Of Google's models those are listed that generate content.
"""

import msgspec

_LONGEST = 256
_GOOGLES = "models/"
_GENERATES = "generateContent"


class _Entry(msgspec.Struct):
    id: str
    object: str = ""


class _Page(msgspec.Struct):
    """A list as far as it is read; an engine without models may say null."""

    data: list[_Entry] | None
    object: str = ""


class _GooglesEntry(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: tuple[str, ...] = (_GENERATES,)


class _GooglesPage(msgspec.Struct):
    models: list[_GooglesEntry]


def names(body: bytes) -> tuple[str, ...] | None:
    """Return the names a vendor lists, in its order; None where `body` is no list of models."""
    page = _page(body)
    return _googles(body) if page is None else tuple(entry.id for entry in page.data or ())


def _googles(body: bytes) -> tuple[str, ...] | None:
    try:
        page = msgspec.json.decode(body, type=_GooglesPage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return tuple(
        entry.name.removeprefix(_GOOGLES)
        for entry in page.models
        if _GENERATES in entry.supported_generation_methods
    )


def engine_names(body: bytes) -> tuple[str, ...] | None:
    """Return the names an engine lists; None for anything but OpenAI's form, well made.

    For answers of whatever listens at an address that was only guessed.
    """
    page = _page(body)
    if page is None or page.object != "list":
        return None
    entries = page.data or ()
    if not all(entry.object == "model" and _is_name(entry.id) for entry in entries):
        return None
    return tuple(entry.id for entry in entries)


def _page(body: bytes) -> _Page | None:
    try:
        return msgspec.json.decode(body, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable() and text == text.strip()
