"""Metadata: at most sixteen short texts by name that an owner puts on what is kept.

Follows https://platform.openai.com/docs/api-reference/conversations/create
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from meterway.kit import json
from meterway.threads.errors import BadMetadataError

_MOST: Final = 16
_NAME, _VALUE = 64, 512
_PATH = "metadata"


def read(raw: bytes | msgspec.Raw | None) -> dict[str, str]:
    """Read the metadata of a request; absent and null are none. Raises `InvalidRequestError`."""
    if raw is None or json.is_null(raw):
        return {}
    return checked(json.decode_as(raw, dict[str, str], _PATH))


def checked(given: Mapping[str, str]) -> dict[str, str]:
    """Return metadata that can be kept. Raises `BadMetadataError`."""
    if len(given) > _MOST:
        raise BadMetadataError(f"There are at most {_MOST} pairs of metadata.", param=_PATH)
    for name, value in given.items():
        if not 0 < len(name) <= _NAME or len(value) > _VALUE or "\0" in name + value:
            raise BadMetadataError(
                f"A name of metadata has 1 to {_NAME} characters, its value at most {_VALUE}, and "
                "neither a NUL.",
                param=_PATH,
            )
    return dict(given)
