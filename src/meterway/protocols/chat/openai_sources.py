"""Addresses and inline bytes of pictures and files, as all of OpenAI's dialects take them."""

import re

from meterway.protocols.chat import sources
from meterway.protocols.chat.openai_family import refused

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_MEDIA_TYPES = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/plain"}


def decode_image_url(url: str, path: str) -> sources.UrlSource | sources.DataSource:
    """Read an address or data URL. Raises `InvalidRequestError` naming `path`."""
    if url[:5].lower() == "data:":
        return _data(url, path, None)
    if url[:8].lower().startswith(("http://", "https://")):
        return sources.UrlSource(url)
    raise refused(path, "expected an http(s) URL or a base64 data URL.")


def file_source(data: str, filename: str | None, path: str) -> sources.Source:
    """Read a file's data: base64, a data URL, or an address.

    The media type is the URL's own, else the one of `filename`'s ending, else PDF. Raises
    `InvalidRequestError` naming `path`.
    """
    ending = (filename or "").rpartition(".")[2].lower()
    media_type = _MEDIA_TYPES.get(ending, "application/pdf")
    if data[:5].lower() == "data:":
        return _data(data, path, media_type)
    if data[:8].lower().startswith(("http://", "https://")):
        return sources.UrlSource(data)
    return sources.DataSource(media_type, data)


def _data(url: str, path: str, default: str | None) -> sources.DataSource:
    head = _DATA_URL.match(url)
    media_type = (head[1] or default) if head else None
    if head is None or head[3] is None or media_type is None:
        raise refused(path, "expected a data URL such as 'data:image/png;base64,...'.")
    return sources.DataSource(media_type.lower(), url[head.end() :])
