"""The wire shapes of Google's Gemini API, as far as the gateway reads them.

Follows https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching. Every
struct is partial: keys it does not list are skipped, so that newer fields never fail a decode.
Names are camel case, as `spelling` leaves them and as upstreams answer.
"""

from typing import Annotated, TypeAlias

import msgspec

Raw = msgspec.Raw
NOTHING = Raw(b"")
NULL = Raw(b"null")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


def given(value: Raw) -> bool:
    """Whether an optional raw value was sent and is not null."""
    return bool(value) and value != NULL


class Blob(msgspec.Struct, rename="camel"):
    """Bytes in base64 and what they are."""

    mime_type: str | None = None
    data: str | None = None


class FileData(msgspec.Struct, rename="camel"):
    """Bytes by their address."""

    file_uri: str | None = None
    mime_type: str | None = None


class FunctionCall(msgspec.Struct, rename="camel"):
    """The model asks for a function; older models give calls no id."""

    name: str | None = None
    id: str | None = None
    args: Raw = NOTHING


class ResponsePart(msgspec.Struct, rename="camel"):
    """A picture or file among what a function returned."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct, rename="camel"):
    """What a function returned: an object, and files beside it."""

    name: str | None = None
    id: str | None = None
    response: Raw = NOTHING
    parts: list[ResponsePart] | None = None


class Part(msgspec.Struct, rename="camel"):
    """Any part of a request; which fields are there says what it is."""

    text: Raw = NOTHING
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Raw = NOTHING
    code_execution_result: Raw = NOTHING
    tool_call: Raw = NOTHING
    tool_response: Raw = NOTHING
    video_metadata: Raw = NOTHING
    media_resolution: Raw = NOTHING
    part_metadata: Raw = NOTHING

    def is_plain(self) -> bool:
        """Whether `vendors` and `knobs` have nothing to return, as is usual."""
        return (
            self.executable_code
            is self.code_execution_result
            is self.tool_call
            is self.tool_response
            is self.video_metadata
            is self.media_resolution
            is self.part_metadata
            is NOTHING
        )

    def vendors(self) -> str | None:
        """Return the kind of a part that only the vendor's own tools make."""
        named = {
            "executableCode": self.executable_code,
            "codeExecutionResult": self.code_execution_result,
            "toolCall": self.tool_call,
            "toolResponse": self.tool_response,
        }
        return next((kind for kind, value in named.items() if given(value)), None)

    def knobs(self) -> dict[str, Raw]:
        """Return what only this API knows of a part, by name."""
        named = {
            "videoMetadata": self.video_metadata,
            "mediaResolution": self.media_resolution,
            "partMetadata": self.part_metadata,
        }
        return {name: value for name, value in named.items() if given(value)}


class Content(msgspec.Struct):
    """One turn; without a role it is the user's."""

    role: str | None = None
    parts: list[Part] | None = None


class Declaration(msgspec.Struct, rename="camel"):
    """A function the model may call, its parameters by one of two schema languages."""

    name: str | None = None
    description: Raw = NOTHING
    parameters: Raw = NOTHING
    parameters_json_schema: Raw = NOTHING
    response: Raw = NOTHING
    response_json_schema: Raw = NOTHING
    behavior: Raw = NOTHING

    def knobs(self) -> dict[str, Raw]:
        """Return what only this API knows of a function, by name."""
        named = {
            "response": self.response,
            "responseJsonSchema": self.response_json_schema,
            "behavior": self.behavior,
        }
        return {name: value for name, value in named.items() if given(value)}


class CallingConfig(msgspec.Struct, rename="camel"):
    """Whether and which functions must be called."""

    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ThinkingConfig(msgspec.Struct, rename="camel"):
    """How much to think: a budget in tokens up to Gemini 2.5, a level from Gemini 3 on."""

    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class Modality(msgspec.Struct, rename="camel"):
    """Tokens of one kind of content."""

    modality: str = ""
    token_count: int | None = None


class Usage(msgspec.Struct, rename="camel"):
    """What a call used; every chunk of a stream repeats it, cumulative."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[Modality] | None = None
    cache_tokens_details: list[Modality] | None = None
    tool_use_prompt_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None
    service_tier: str | None = None


class Said(msgspec.Struct, rename="camel"):
    """Any part of a reply."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None


class SaidContent(msgspec.Struct):
    """What one candidate says; nothing where it was cut off before its first word."""

    parts: list[Said] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One alternative of a reply, or of a chunk."""

    content: SaidContent | None = None
    finish_reason: str | None = None
    index: int = 0
    logprobs_result: Raw = NOTHING


class Feedback(msgspec.Struct, rename="camel"):
    """Why there is no candidate: the prompt was blocked."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Error(msgspec.Struct):
    """Google's error object, as far as clients are told."""

    code: int | None = None
    message: str = ""
    status: str = ""


class Reply(msgspec.Struct, rename="camel"):
    """A whole reply, a chunk of a stream, or an error in place of either."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Error | None = None
