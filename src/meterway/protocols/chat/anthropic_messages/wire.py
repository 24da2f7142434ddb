"""The wire shapes of Anthropic's Messages API, as far as the gateway reads them.

Follows https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming. Every
struct is partial: keys it does not list are skipped, so that newer fields never fail a decode.
"""

import msgspec

Raw = msgspec.Raw
NOTHING = Raw(b"")
NULL = Raw(b"null")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_QUOTE, _BRACE = b'"{'


def given(value: Raw) -> bool:
    """Whether an optional raw value was sent and is not null."""
    return bool(value) and value != NULL


def is_string(value: Raw) -> bool:
    """Whether a raw value is a JSON string."""
    return memoryview(value)[0] == _QUOTE


def is_object(value: Raw) -> bool:
    """Whether a raw value is a JSON object."""
    return memoryview(value)[0] == _BRACE


class CacheControl(msgspec.Struct):
    """A cache breakpoint; `ttl` is "5m" when absent."""

    ttl: str | None = None


class Source(msgspec.Struct):
    """Where the bytes of an image or document come from."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = NOTHING


class Block(msgspec.Struct):
    """Any content block; which fields count depends on `type`."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: Raw = NOTHING
    is_error: bool | None = None
    source: Raw = NOTHING
    title: str | None = None
    context: str | None = None
    citations: Raw = NOTHING
    transformations: Raw = NOTHING
    cache_control: CacheControl | None = None


class Message(msgspec.Struct):
    """One turn of a request."""

    role: str
    content: Raw


class Tool(msgspec.Struct):
    """A tool definition; `type` is absent or "custom" for the client's own tools."""

    name: str | None = None
    type: str | None = None
    description: Raw = NOTHING
    input_schema: Raw = NOTHING
    strict: bool | None = None
    cache_control: CacheControl | None = None
    allowed_callers: Raw = NOTHING
    defer_loading: Raw = NOTHING
    eager_input_streaming: Raw = NOTHING
    input_examples: Raw = NOTHING

    def is_plain(self) -> bool:
        """Whether `knobs` has nothing to return, as is usual: what is absent is `NOTHING`."""
        return (
            self.allowed_callers
            is self.defer_loading
            is self.eager_input_streaming
            is self.input_examples
        )

    def knobs(self) -> dict[str, Raw]:
        """Return what only this API knows of a tool, by name."""
        named = {
            "allowed_callers": self.allowed_callers,
            "defer_loading": self.defer_loading,
            "eager_input_streaming": self.eager_input_streaming,
            "input_examples": self.input_examples,
        }
        return {name: value for name, value in named.items() if given(value)}


class ToolChoice(msgspec.Struct):
    """How tools may be used."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """The thinking configuration."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct):
    """A structured output format."""

    type: str
    schema: Raw = NOTHING


class CacheCreation(msgspec.Struct):
    """Cache writes by lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputTokensDetails(msgspec.Struct):
    """How the output tokens divide."""

    thinking_tokens: int = 0


class Iteration(msgspec.Struct):
    """What one step of a call used; only those of type "compaction" stand outside the totals."""

    type: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None


class Usage(msgspec.Struct):
    """What a call used; a stream reports it in two events, the later one cumulative."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputTokensDetails | None = None
    iterations: list[Iteration] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


class Error(msgspec.Struct):
    """The inside of an error."""

    type: str = "api_error"
    message: str = ""


class StopDetails(msgspec.Struct):
    """Why the model refused, where it says so."""

    explanation: str | None = None


class Reply(msgspec.Struct):
    """A whole message, or an error object in its place."""

    type: str = "message"
    id: str = ""
    model: str = ""
    content: Raw = NOTHING
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: Usage | None = None
    error: Error | None = None


class Delta(msgspec.Struct):
    """What an event adds to a block, or to the message as a whole."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(msgspec.Struct):
    """Any stream event."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Reply | None = None
    usage: Usage | None = None
    error: Error | None = None
