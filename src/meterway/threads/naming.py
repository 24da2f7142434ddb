"""Which texts can be names of what is kept; others name nothing, and no database sees them."""

from typing import Final

LONGEST: Final = 64
ITEM_LONGEST: Final = 255
"""Vendors name items, some of them at length."""


def is_name(text: str, longest: int = LONGEST) -> bool:
    """Say whether a text could be the id of something: short, and of ASCII that prints."""
    return 0 < len(text) <= longest and text.isascii() and text.isprintable()
