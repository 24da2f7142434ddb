"""How large a chat request is, in any dialect, without counting tokens or building its tree."""

from collections.abc import Callable
from typing import Final

import msgspec

from meterway.kit.json import RawObject

_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_DOCUMENTS: Final = frozenset({"document", "file", "input_file", "video_url", "container_upload"})
_SOUND: Final = "input_audio"
_RUN_BY_VENDOR: Final = (
    "web_",
    "code_",
    "mcp",
    "file_search",
    "image_generation",
)
_LIST: Final = ord("[")
_NULL: Final = msgspec.Raw(b"null")


class Sizes(msgspec.Struct, frozen=True):
    """What a request is made of: bytes that may be text, and how many parts are something else.

    `text` is an upper bound: the signs of JSON count as text, and so does sound. It is None where
    the messages or tools cannot be read; whoever decodes them will say why. `tools` are those the
    vendor runs, such as web searches: what they find is read too.
    """

    text: int | None
    images: int = 0
    documents: int = 0
    sounds: int = 0
    tools: int = 0


class _Part(msgspec.Struct):
    """A part; the result of a tool has parts of its own."""

    type: str | None = None
    content: "list[_Part] | str | dict[str, msgspec.Raw] | None" = None


class _Message(msgspec.Struct):
    content: list[_Part] | str | None = None


class _Item(msgspec.Struct):
    """An item of the Responses API: a message, or what a tool returned."""

    content: list[_Part] | str | None = None
    output: list[_Part] | str | dict[str, msgspec.Raw] | None = None


class _RawPart(msgspec.Struct):
    type: str | None = None
    content: msgspec.Raw = _NULL


class _RawItem(msgspec.Struct):
    content: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL


class _Tool(msgspec.Struct):
    type: str | None = None


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(list[_Message]).decode
_decode_raw = msgspec.json.Decoder(list[_RawPart]).decode
_decode_items = msgspec.json.Decoder(list[_Item] | str | None).decode
_decode_raw_items = msgspec.json.Decoder(list[_RawItem]).decode
_decode_part = msgspec.json.Decoder(_RawPart).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


def sizes_of(body: RawObject) -> Sizes:
    """Measure a request; a part is what its `type` says, however that is spelled in JSON."""
    kinds: list[str | None] = []
    try:
        for message in _decode(body["messages"]) if "messages" in body else ():
            if isinstance(message.content, list):
                _gather(message.content, kinds)
        return _sizes(body, kinds, _media_of_messages)
    except _UNREADABLE:
        return Sizes(None)


def sizes_of_items(body: RawObject) -> Sizes:
    """Measure a request of the Responses API, whose turns are items of `input`."""
    kinds: list[str | None] = []
    try:
        items = _decode_items(body["input"]) if "input" in body else ()
        for item in items if isinstance(items, list) else ():
            for held in (item.content, item.output):
                if isinstance(held, list):
                    _gather(held, kinds)
        return _sizes(body, kinds, _media_of_items)
    except _UNREADABLE:
        return Sizes(None)


def _sizes(body: RawObject, kinds: list[str | None], media: Callable[[RawObject], int]) -> Sizes:
    total, tools = sum(map(len, body.values())), 0
    if "tools" in body or "web_search_options" in body:
        tools = _vendor_tools(body)
    if not kinds:
        return Sizes(total, tools=tools) if tools else Sizes(total)
    images = sum(kind in _IMAGES for kind in kinds)
    documents = sum(kind in _DOCUMENTS for kind in kinds)
    if images or documents:
        total -= media(body)
    return Sizes(total, images, documents, kinds.count(_SOUND), tools)


def _media_of_messages(body: RawObject) -> int:
    return sum(_media(message.content) for message in _decode_raw(body["messages"]))


def _media_of_items(body: RawObject) -> int:
    items = _decode_raw_items(body["input"])
    return sum(_media(item.content) + _media(item.output) for item in items)


def _vendor_tools(body: RawObject) -> int:
    found = "web_search_options" in body
    if "tools" in body:
        tools = _decode_tools(body["tools"]) or ()
        found += sum(
            tool.type is not None and tool.type.startswith(_RUN_BY_VENDOR) for tool in tools
        )
    return int(found)


def _gather(parts: list[_Part], kinds: list[str | None]) -> None:
    for part in parts:
        kinds.append(part.type)
        if isinstance(part.content, list):
            _gather(part.content, kinds)


def _media(content: msgspec.Raw) -> int:
    """Return how many bytes of a content are images and documents."""
    if not len(content) or memoryview(content)[0] != _LIST:
        return 0
    found = 0
    for raw in _decode_raws(content):
        part = _decode_part(raw)
        is_media = part.type in _IMAGES or part.type in _DOCUMENTS
        found += len(raw) if is_media else _media(part.content)
    return found
