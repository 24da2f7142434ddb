"""The wire shapes of OpenAI's chat completions, as far as the gateway reads them.

Follows https://platform.openai.com/docs/api-reference/chat and the extensions of DeepSeek
(`reasoning_content`), OpenRouter (`reasoning`, `reasoning_details`, `cache_control`), Groq
(`x_groq`) and Moonshot (`usage` in a choice). Every struct is partial: keys it does not list are
skipped, so that newer fields never fail a decode.
"""

from typing import Any

import msgspec

Raw = msgspec.Raw
NULL = Raw(b"null")
TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


_decode_text = msgspec.json.Decoder(str).decode


def given(value: Raw) -> bool:
    """Whether an optional raw value was sent and is not null."""
    return value is not NULL and value != NULL


def arguments_text(raw: Raw) -> str:
    """Return a call's arguments as text; some servers and clients send the object itself.

    Raises `msgspec.DecodeError` or `UnicodeDecodeError` where they are no text at all.
    """
    if bytes(raw).startswith(b'"'):
        return _decode_text(raw)
    return bytes(raw).decode() if given(raw) else ""


class CacheControl(msgspec.Struct):
    """Anthropic's cache breakpoint, which OpenRouter takes on parts, messages and tools."""

    ttl: str | None = None


class ImageUrl(msgspec.Struct):
    """A picture's address, or its bytes as a data URL."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct):
    """Base64 audio and its format."""

    data: str
    format: str


class File(msgspec.Struct):
    """A file by its bytes or its id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct):
    """Any content part; which fields count depends on `type`."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: File | None = None
    thinking: Raw = NULL
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: Raw = NULL


class Function(msgspec.Struct):
    """A called function; `arguments` is a string, though some servers send the object itself."""

    name: str | None = None
    arguments: Raw = NULL


class ToolCall(msgspec.Struct):
    """A tool call of a message, or a piece of one in a stream."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    extra_content: Raw = NULL


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _Extra(msgspec.Struct):
    google: _Google | None = None


def signature_of(call: ToolCall) -> str | None:
    """Return the thought signature a call carries, as Gemini's models give and want it back.

    What has another form holds none. Source: https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    if not given(call.extra_content):
        return None
    try:
        extra = msgspec.json.decode(call.extra_content, type=_Extra)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return extra.google.thought_signature or None if extra.google else None


def signed(call: dict[str, Any], signature: str | None) -> dict[str, Any]:
    """Return `call` with its thought signature, where it has one."""
    if signature is None:
        return call
    return {**call, "extra_content": {"google": {"thought_signature": signature}}}


class ReasoningDetail(msgspec.Struct):
    """An item of OpenRouter's `reasoning_details`."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    index: int | None = None


class Message(msgspec.Struct):
    """One message of a request."""

    role: str
    content: Raw = NULL
    name: str | None = None
    refusal: str | None = None
    tool_calls: Raw = NULL
    tool_call_id: str | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: Raw = NULL
    reasoning_details: Raw = NULL
    audio: Raw = NULL
    cache_control: CacheControl | None = None


class ToolFunction(msgspec.Struct):
    """The definition of a function tool."""

    name: str
    description: Raw = NULL
    parameters: Raw = NULL
    strict: bool | None = None
    cache_control: CacheControl | None = None


class Tool(msgspec.Struct):
    """A tool definition."""

    type: str = "function"
    function: ToolFunction | None = None
    cache_control: CacheControl | None = None


class Named(msgspec.Struct):
    """Something chosen by its name."""

    name: str


class AllowedTools(msgspec.Struct):
    """A choice narrowed to some of the tools."""

    mode: str
    tools: list["ToolChoice"]


class ToolChoice(msgspec.Struct):
    """The object forms of `tool_choice`."""

    type: str
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: AllowedTools | None = None


class Schema(msgspec.Struct):
    """The inside of a `json_schema` response format."""

    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    """The form a reply must have."""

    type: str
    json_schema: Schema | None = None


class Thinking(msgspec.Struct):
    """`thinking` as Anthropic, DeepSeek and Zhipu take it, or OpenRouter's `reasoning`."""

    type: str | None = None
    budget_tokens: int | None = None
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


class StreamOptions(msgspec.Struct):
    """What a stream should carry besides its content."""

    include_usage: bool | None = None


class PromptDetails(msgspec.Struct):
    """How the prompt's tokens divide."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """How the completion's tokens divide."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(msgspec.Struct):
    """What a call used."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class Groq(msgspec.Struct):
    """Groq's own corner of a chunk."""

    usage: Usage | None = None


class Content(msgspec.Struct):
    """A message of a reply, or a delta of one in a stream."""

    content: str | list[Raw] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = NULL
    reasoning_details: Raw = NULL
    tool_calls: list[Raw] | None = None
    function_call: Function | None = None
    audio: Raw = NULL
    images: list[Raw] | None = None


class Choice(msgspec.Struct):
    """One alternative of a reply, or of a chunk."""

    index: int | None = None
    message: Content | None = None
    delta: Content | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL
    stop_reason: Raw = NULL
    error: Raw = NULL
    usage: Usage | None = None


class Reply(msgspec.Struct):
    """A whole reply, a chunk of a stream, or an error in place of either."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: Raw = NULL
    detail: Raw = NULL
    x_groq: Groq | None = None
