"""What of a request body costs tokens, in a form that knows no dialect and no model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, overload

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.tokens.images import Size

_TYPES: Mapping[str, type] = {"string": str, "object": dict, "array": list}


class Kind(StrEnum):
    """Which value of a body a piece is."""

    SYSTEM = "system"
    MESSAGE = "message"
    TOOLS = "tools"


class ToolUse(StrEnum):
    """What a body asks of its tools."""

    AUTO = "auto"
    ANY = "any"
    NAMED = "named"


class Thinking(StrEnum):
    """Whether a body asks the model to think, and how."""

    OFF = "off"
    ENABLED = "enabled"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Piece:
    """One value of a body that is counted, and remembered, on its own."""

    kind: Kind
    path: str
    raw: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call; `parameters` is its JSON schema, None for a provider's tool."""

    name: str
    description: str
    parameters: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its size in pixels, None where only fetching it would tell."""

    size: Size | None
    low_detail: bool = False


@dataclass(slots=True)
class Draft:
    """A piece taken apart. `opens_turn` is true for a user message that is no tool result."""

    role: str = ""
    named: bool = False
    blocks: int = 0
    texts: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    pages: int = 0
    calls: int = 0
    arguments: int = 0
    tools: list[Tool] = field(default_factory=list)
    opens_turn: bool = False
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """A body cut into pieces, with what is cheap to read at once."""

    pieces: Sequence[Piece]
    tool_use: ToolUse = ToolUse.AUTO
    thinking: Thinking = Thinking.OFF


def decode(raw: bytes | msgspec.Raw, path: str) -> Any:
    """Decode one raw value.

    Raises `InvalidRequestError` naming `path` where it is no JSON or nested too deeply.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"'{path}' is not valid JSON: {error}.", param=path) from None


@overload
def need(value: Any, kind: Literal["string"], path: str) -> str: ...
@overload
def need(value: Any, kind: Literal["object"], path: str) -> dict[str, Any]: ...
@overload
def need(value: Any, kind: Literal["array"], path: str) -> list[Any]: ...
def need(value: object, kind: str, path: str) -> object:
    """Return `value` if it is of that JSON type, else raise `InvalidRequestError` naming `path`."""
    if value is None:
        raise InvalidRequestError(f"'{path}' is missing; it should be of type {kind}.", param=path)
    if not isinstance(value, _TYPES[kind]):
        raise InvalidRequestError(f"'{path}' should be of type {kind}.", param=path)
    return value


def content(
    out: Draft, value: Any, path: str, take: Callable[[Draft, dict[str, Any], str], None]
) -> None:
    """Add a message's content to `out`: a string, or a list of blocks that `take` adds one by one.

    Raises `InvalidRequestError` naming the path of what is neither, or of a block without a type.
    """
    if isinstance(value, str):
        out.blocks += 1
        out.texts.append(value)
        return
    for at, row in enumerate(need(value, "array", path)):
        block = need(row, "object", f"{path}.{at}")
        need(block.get("type"), "string", f"{path}.{at}.type")
        out.blocks += 1
        take(out, block, f"{path}.{at}")


def messages(raw: msgspec.Raw | None, name: str = "messages") -> list[Piece]:
    """Cut the messages of a body, its field `name`.

    Raises `InvalidRequestError` unless it is a filled array.
    """
    if raw is None:
        raise InvalidRequestError(f"'{name}' is missing; send an array.", param=name)
    try:
        rows = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = f"'{name}' should be an array of messages."
        raise InvalidRequestError(message, param=name) from None
    if not rows:
        raise InvalidRequestError(f"'{name}' should hold one message or more.", param=name)
    return [Piece(Kind.MESSAGE, f"{name}.{at}", row) for at, row in enumerate(rows)]


def is_given(raw: msgspec.Raw | None) -> bool:
    """Whether a value is present and not null."""
    return raw is not None and bytes(raw) != b"null"
