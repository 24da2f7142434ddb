"""What the gateway must know of a request before it decides where it goes, and how large it is."""

from typing import Final

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.faults import decode_at, required
from meterway.protocols.chat.gemini.spelling import find
from meterway.protocols.chat.gemini.usage import decode_tier
from meterway.protocols.chat.sizes import Sizes

MODEL, STREAM = "model", "stream"
"""Where the face of the API puts what its path says; no request of the API has these fields."""

_CONFIG: Final = "generationConfig"
_OWN_TOOLS: Final = frozenset({"functionDeclarations", "function_declarations"})


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None


class _Blob(msgspec.Struct):
    """Bytes, or their address, under either spelling."""

    mimeType: str | None = None  # noqa: N815 - the wire's own names
    mime_type: str | None = None
    data: msgspec.Raw = wire.NOTHING


class _Holder(msgspec.Struct):
    inlineData: _Blob | None = None  # noqa: N815 - the wire's own names
    inline_data: _Blob | None = None
    fileData: _Blob | None = None  # noqa: N815 - the wire's own names
    file_data: _Blob | None = None

    def blobs(self) -> list[_Blob]:
        found = (self.inlineData, self.inline_data, self.fileData, self.file_data)
        return [blob for blob in found if blob is not None]


class _Result(msgspec.Struct):
    parts: list[_Holder] | None = None


class _Part(_Holder):
    functionResponse: _Result | None = None  # noqa: N815 - the wire's own names
    function_response: _Result | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


_decode_contents = msgspec.json.Decoder(list[_Content]).decode
_decode_tools = msgspec.json.Decoder(list[RawObject] | None).decode


def read_facts(body: RawObject) -> Facts:
    """Read what routing and metering need. Raises `InvalidRequestError`."""
    if MODEL not in body:
        raise required(MODEL)
    raw = find(body, _CONFIG)
    config = _Config() if raw is None else decode_at(raw, _Config, _CONFIG)
    tier = find(body, "serviceTier")
    return Facts(
        model=decode_at(body[MODEL], str, MODEL),
        stream=STREAM in body and decode_at(body[STREAM], bool, STREAM),
        service_tier=None if tier is None else decode_tier(decode_at(tier, str, "serviceTier")),
        max_tokens=config.max_output_tokens,
        choices=max(config.candidate_count or 1, 1),
    )


def read_sizes(body: RawObject) -> Sizes:
    """Measure a request. What a `cachedContent` holds is not told: then anything may be read."""
    if "cachedContent" in body or "cached_content" in body:
        return Sizes(None)
    total = sum(map(len, body.values()))
    images = documents = sounds = 0
    try:
        for blob in _blobs(body):
            kind = (blob.mimeType or blob.mime_type or "").lower()
            if kind.startswith("audio/"):
                sounds += 1
                continue
            total -= len(blob.data)
            if kind.startswith("image/"):
                images += 1
            else:
                documents += 1
        tools = _decode_tools(body["tools"]) if "tools" in body else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Sizes(None)
    vendors = sum(len(tool.keys() - _OWN_TOOLS) for tool in tools or ())
    return Sizes(total, images, documents, sounds, vendors)


def _blobs(body: RawObject) -> list[_Blob]:
    found: list[_Blob] = []
    for content in _decode_contents(body["contents"]) if "contents" in body else ():
        for part in content.parts or ():
            found += part.blobs()
            for result in (part.functionResponse, part.function_response):
                for inner in (result.parts or ()) if result is not None else ():
                    found += inner.blobs()
    return found
