"""The wire shapes of OpenAI's Responses API, as far as the gateway reads them.

Follows https://platform.openai.com/docs/api-reference/responses and .../responses-streaming. Every
struct is partial: keys it does not list are skipped, so that newer fields never fail a decode.
"""

import msgspec

Raw = msgspec.Raw
NULL = Raw(b"null")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_QUOTE, _BRACKET = b'"['
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def given(value: Raw) -> bool:
    """Whether an optional raw value was sent and is not null."""
    return value is not NULL and value != NULL


def is_string(value: Raw) -> bool:
    """Whether a raw value is a JSON string."""
    return memoryview(value)[0] == _QUOTE


def is_list(value: Raw) -> bool:
    """Whether a raw value is a JSON array."""
    return memoryview(value)[0] == _BRACKET


class InputAudio(msgspec.Struct):
    """Base64 audio and its format."""

    data: str
    format: str


class Part(msgspec.Struct):
    """Any content part, of a message, a tool's output or a reasoning item."""

    type: str
    text: Raw = NULL
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    input_audio: InputAudio | None = None
    logprobs: Raw = NULL


class Item(msgspec.Struct):
    """Any item of a request's input; which fields count depends on `type`.

    Without a type it is a message, or a reference where it has nothing but an id.
    """

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: Raw = NULL
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = NULL
    input: Raw = NULL
    output: Raw = NULL
    summary: Raw = NULL
    encrypted_content: str | None = None


class Tool(msgspec.Struct):
    """A tool definition; a namespace has tools of its own."""

    type: str
    name: str | None = None
    description: Raw = NULL
    parameters: Raw = NULL
    strict: bool | None = None
    format: Raw = NULL
    tools: list["Tool"] | None = None


class ToolChoice(msgspec.Struct):
    """The object forms of `tool_choice`, and what allowed tools are named by."""

    type: str
    name: str | None = None
    mode: str | None = None
    tools: list["ToolChoice"] | None = None


class Format(msgspec.Struct):
    """The form of the text."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class Text(msgspec.Struct):
    """`text`: its form; how wordy it is, other dialects cannot say."""

    format: Format | None = None
    verbosity: Raw = NULL


class Reasoning(msgspec.Struct):
    """`reasoning`: how much to think; what is told of it, other dialects cannot say."""

    effort: str | None = None
    summary: Raw = NULL


class InputDetails(msgspec.Struct):
    """How the input's tokens divide."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """How the output's tokens divide."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """What a call used."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Incomplete(msgspec.Struct):
    """Why a response is incomplete."""

    reason: str | None = None


class Response(msgspec.Struct):
    """A response object, whole or inside an event."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[Raw] | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    error: Raw = NULL
    incomplete_details: Incomplete | None = None


class Event(msgspec.Struct):
    """Any stream event."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | dict[str, Raw] | list[Raw] | None = None
    logprobs: Raw = NULL
    item: Raw = NULL
    response: Raw = NULL
    sequence_number: int | None = None
    error: Raw = NULL
