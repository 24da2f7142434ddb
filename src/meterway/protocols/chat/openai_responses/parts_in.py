"""Content parts of messages and of tools' outputs, read into the neutral form."""

from typing import Any, TypeVar

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_family import decode_at, required, wording_at
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_sources import decode_image_url, file_source
from meterway.protocols.chat.wording import unread
from meterway.protocols.dialects import Family

T = TypeVar("T")
_Content: Any = str | list[wire.Part]


def decode_content(content: msgspec.Raw, path: str) -> list[neutral.AnyPart]:
    """Read a string or a list of parts; a kind without a word in the neutral form is `Foreign`.

    Raises `InvalidRequestError` naming the path at fault.
    """
    text = unread(content)
    if text is not None:
        return [neutral.Text(text=text, path=path)]
    parts: list[wire.Part] = decode_at(content, _Content, path)
    return [_part(part, content, place, path) for place, part in enumerate(parts)]


def _part(part: wire.Part, content: msgspec.Raw, place: int, within: str) -> neutral.AnyPart:
    path = f"{within}[{place}]"
    match part.type:
        case "input_text" | "output_text" | "text":
            if not wire.given(part.text):
                raise required(f"{path}.text")
            return neutral.Text(text=wording_at(part.text, f"{path}.text"), path=path)
        case "refusal":
            return neutral.Refusal(text=_needed(part.refusal, f"{path}.refusal"), path=path)
        case "input_image":
            return _image(part, path)
        case "input_file":
            return _document(part, path)
        case "input_audio":
            audio = _needed(part.input_audio, f"{path}.input_audio")
            return neutral.Audio(data=audio.data, format=audio.format, path=path)
        case kind:
            raw = decode_at(content, list[msgspec.Raw], within)[place]
            return neutral.Foreign(kind=kind, raw=raw, path=path)


def _image(part: wire.Part, path: str) -> neutral.Image:
    if part.file_id is not None:
        source: sources.UrlSource | sources.DataSource | sources.FileSource = sources.FileSource(
            part.file_id, Family.OPENAI
        )
    else:
        url = _needed(part.image_url, f"{path}.image_url")
        source = decode_image_url(url, f"{path}.image_url")
    return neutral.Image(source=source, detail=part.detail, path=path)


def _document(part: wire.Part, path: str) -> neutral.Document:
    if part.file_id is not None:
        source: sources.Source = sources.FileSource(part.file_id, Family.OPENAI)
    elif part.file_url is not None:
        source = sources.UrlSource(part.file_url)
    else:
        data = _needed(part.file_data, f"{path}.file_data")
        source = file_source(data, part.filename, f"{path}.file_data")
    return neutral.Document(source=source, name=part.filename, path=path)


def _needed(value: T | None, path: str) -> T:
    if value is None:
        raise required(path)
    return value
