"""Where the bytes of a picture or document come from."""

from typing import TypeAlias

import msgspec

from meterway.protocols.dialects import Family


class UrlSource(msgspec.Struct, frozen=True):
    """Content the model's vendor fetches from `url`."""

    url: str


class DataSource(msgspec.Struct, frozen=True):
    """Content carried inline: base64 `data` of type `media_type`."""

    media_type: str
    data: str


class TextSource(msgspec.Struct, frozen=True):
    """A document given as plain text."""

    text: str


class FileSource(msgspec.Struct, frozen=True):
    """Content uploaded before, by the file id of the vendor whose clients `family` are."""

    file_id: str
    family: Family


Source: TypeAlias = UrlSource | DataSource | TextSource | FileSource
