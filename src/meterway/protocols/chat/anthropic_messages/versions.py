"""The two versions of Anthropic's API a client may ask for, and what the newer one refuses.

Source: https://platform.claude.com/docs/en/api/versioning and .../api/migration-2026-10-21
"""

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.anthropic_family import decode_at, refused
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.content_in import blocks_of

DEFAULT_VERSION = "2023-06-01"
STRICT_VERSION = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")


def check_version(body: RawObject, version: str | None) -> None:
    """Refuse what the version named in the `anthropic-version` header does not allow.

    None means 2023-06-01. Raises `InvalidRequestError` for an unknown version; under 2026-10-21
    for sampling parameters (even at their defaults), a `document` block in an assistant
    message, and citations on a user's text blocks.
    """
    if version in (None, DEFAULT_VERSION):
        return
    if version != STRICT_VERSION:
        message = (
            f'anthropic-version: "{version}" is not a supported API version; '
            f'send "{DEFAULT_VERSION}" or "{STRICT_VERSION}"'
        )
        raise InvalidRequestError(message, param="anthropic-version")
    for name in _SAMPLING:
        if name in body and body[name] != wire.NULL:
            raise refused(name, f"not supported in API version {STRICT_VERSION}; remove it")
    messages = body.get("messages", wire.NOTHING)
    text = bytes(messages)
    if b'"document"' in text or b'"citations"' in text:
        _check_messages(messages)


def _check_messages(messages: wire.Raw) -> None:
    for number, message in enumerate(decode_at(messages, list[wire.Message], "messages")):
        if wire.is_string(message.content):
            continue
        path = f"messages.{number}.content"
        for place, block in enumerate(blocks_of(message.content, path)):
            _check_block(block, message.role, f"{path}.{place}")


def _check_block(block: wire.Block, role: str, path: str) -> None:
    if role == "assistant" and block.type == "document":
        raise refused(
            path, f"document blocks in assistant messages end with version {STRICT_VERSION}"
        )
    if role == "user" and block.type == "text":
        cited = block.citations
        if wire.given(cited) and bytes(cited) != b"[]":
            raise refused(
                f"{path}.citations", f"not allowed in user messages in version {STRICT_VERSION}"
            )
