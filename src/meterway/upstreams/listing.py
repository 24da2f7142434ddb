"""The names in an upstream's list of models, in OpenAI's form and in Anthropic's.

Follows https://platform.openai.com/docs/api-reference/models/list and
https://platform.claude.com/docs/en/api/models-list; engines answer in the former.
"""

import msgspec

_LONGEST = 256


class _Entry(msgspec.Struct):
    id: str
    object: str = ""


class _Page(msgspec.Struct):
    """A list as far as it is read; an engine without models may say null."""

    data: list[_Entry] | None
    object: str = ""


def names(body: bytes) -> tuple[str, ...] | None:
    """Return the names a vendor lists, in its order; None where `body` is no list of models."""
    page = _page(body)
    return None if page is None else tuple(entry.id for entry in page.data or ())


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
