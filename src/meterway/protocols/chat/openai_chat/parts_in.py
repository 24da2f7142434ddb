"""Content parts of a client's messages, read into the neutral form."""

from typing import Any, TypeVar

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_family import decode_at, refused, required
from meterway.protocols.chat.openai_sources import decode_image_url, file_source
from meterway.protocols.chat.wording import unread
from meterway.protocols.dialects import Family

T = TypeVar("T")
_Content: Any = str | list[msgspec.Raw] | None


def decode_content(
    content: msgspec.Raw, path: str, cache: neutral.CacheMark | None = None
) -> tuple[neutral.UserPart | neutral.Refusal, ...]:
    """Read a message's content; `cache` is the message's own mark, which its last part takes."""
    text = unread(content)
    if text is not None:
        return (neutral.Text(text=text, path=path, cache=cache),)
    raws: list[msgspec.Raw] | None = decode_at(content, _Content, path)
    parts = [decode_part(raw, f"{path}[{place}]") for place, raw in enumerate(raws or ())]
    if parts and cache is not None:
        parts[-1] = msgspec.structs.replace(parts[-1], cache=cache)
    return tuple(parts)


def decode_part(raw: msgspec.Raw, path: str) -> neutral.UserPart | neutral.Refusal:
    """Read one part; a kind the neutral form has no word for becomes `Foreign`."""
    part = decode_at(raw, wire.Part, path)
    cache = cache_mark(part.cache_control, part.prompt_cache_breakpoint)
    match part.type:
        case "text":
            text = _needed(part.text, f"{path}.text")
            return neutral.Text(text=text, path=path, cache=cache)
        case "image_url":
            if part.image_url is None:
                raise required(f"{path}.image_url")
            return _image(part.image_url, path, cache)
        case "input_audio":
            audio = _needed(part.input_audio, f"{path}.input_audio")
            return neutral.Audio(data=audio.data, format=audio.format, path=path, cache=cache)
        case "file":
            return _document(_needed(part.file, f"{path}.file"), path, cache)
        case "refusal":
            text = _needed(part.refusal, f"{path}.refusal")
            return neutral.Refusal(text=text, path=path, cache=cache)
        case kind:
            return neutral.Foreign(kind=kind, raw=raw, path=path, cache=cache)


def decode_texts(
    content: msgspec.Raw, path: str, cache: neutral.CacheMark | None = None
) -> tuple[neutral.Text, ...]:
    """Read content that may hold text alone (system and developer messages)."""
    texts = []
    for part in decode_content(content, path, cache):
        if not isinstance(part, neutral.Text):
            raise refused(part.path, "only text is allowed here.")
        texts.append(part)
    return tuple(texts)


def cache_mark(
    control: wire.CacheControl | None, breakpoint_: msgspec.Raw = wire.NULL
) -> neutral.CacheMark | None:
    """Read a cache mark: OpenRouter's `cache_control`, or OpenAI's explicit breakpoint.

    OpenAI's breakpoints live 30 minutes or longer, which others charge double: a breakpoint
    counts as the cheap 5 minutes.
    """
    if control is not None:
        return neutral.CacheMark(ttl="1h" if control.ttl == "1h" else "5m")
    return neutral.CacheMark() if wire.given(breakpoint_) else None


def _image(image: wire.ImageUrl | str, path: str, cache: neutral.CacheMark | None) -> neutral.Image:
    if isinstance(image, str):
        image = wire.ImageUrl(image)
    source = decode_image_url(image.url, f"{path}.image_url.url")
    return neutral.Image(source=source, detail=image.detail, path=path, cache=cache)


def _document(file: wire.File, path: str, cache: neutral.CacheMark | None) -> neutral.Document:
    if file.file_id is not None:
        source: sources.Source = sources.FileSource(file.file_id, Family.OPENAI)
    elif file.file_data is not None:
        source = file_source(file.file_data, file.filename, f"{path}.file.file_data")
    else:
        raise required(f"{path}.file.file_id")
    return neutral.Document(source=source, name=file.filename, path=path, cache=cache)


def _needed(value: T | None, path: str) -> T:
    if value is None:
        raise required(path)
    return value
