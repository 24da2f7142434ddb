"""The neutral form of a chat: requests, replies and stream events, free of any vendor's spelling.

Unions are closed: match them to the end with `assert_never`. `msgspec.UNSET` never occurs here:
a field that was absent is None, and codecs write no key for it. JSON paths (`path`) name where a
part stood in the client's own request, so that a refusal can point at it.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from meterway.protocols.chat.sources import DataSource, FileSource, Source, UrlSource
from meterway.protocols.chat.wording import Wording, words_of
from meterway.protocols.usage import Usage

Raw = msgspec.Raw


class Role(StrEnum):
    """Who speaks. `SYSTEM` occurs only where a system or developer turn stands between others."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class CacheMark(msgspec.Struct, frozen=True):
    """The prompt up to and including this part should be cached; `ttl` is "5m" or "1h"."""

    ttl: str = "5m"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What every content part has: its JSON path in the request and an optional cache mark."""

    path: str = ""
    cache: CacheMark | None = None


class Text(Part, frozen=True, kw_only=True):
    """Visible text; a request's may be unread. Texts that say the same are equal."""

    text: Wording

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[object, ...]:
        return words_of(self.text), self.path, self.cache


class Image(Part, frozen=True, kw_only=True):
    """A picture by URL, inline data or file id; `detail` is OpenAI's low, high or auto."""

    source: UrlSource | DataSource | FileSource
    detail: str | None = None


class Document(Part, frozen=True, kw_only=True):
    """A PDF or text document, with an optional file name or title and context for the model."""

    source: Source
    name: str | None = None
    context: str | None = None
    citations: bool = False


class Audio(Part, frozen=True, kw_only=True):
    """Inline audio: base64 `data` in `format` (wav, mp3)."""

    data: str
    format: str


class Thinking(Part, frozen=True, kw_only=True):
    """Reasoning text; `signature` proves to its vendor that the model wrote it."""

    text: str
    signature: str | None = None


class RedactedThinking(Part, frozen=True, kw_only=True):
    """Reasoning the vendor encrypted; only that vendor can read `data`."""

    data: str


class ToolCall(Part, frozen=True, kw_only=True):
    """The model asks for tool `name`; `arguments` is JSON text exactly as the model wrote it.

    `signature` proves to its vendor what the model thought before; Gemini wants it back.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None


class ToolResult(Part, frozen=True, kw_only=True):
    """What a tool returned for call `call_id`."""

    call_id: str
    content: tuple["Text | Image | Document", ...]
    is_error: bool = False


class Refusal(Part, frozen=True, kw_only=True):
    """The model declined; `text` is its explanation."""

    text: str


class Foreign(Part, frozen=True, kw_only=True):
    """A part that only the dialect it came in can say, kept to be refused by name elsewhere.

    `kind` is the part's wire type, such as "search_result" or "server_tool_use".
    """

    kind: str
    raw: Raw


UserPart: TypeAlias = Text | Image | Document | Audio | ToolResult | Foreign
AssistantPart: TypeAlias = (
    Text | Thinking | RedactedThinking | ToolCall | Refusal | Image | Document | Audio | Foreign
)
AnyPart: TypeAlias = UserPart | AssistantPart


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. Tool results stand in user turns, before other parts of that turn."""

    role: Role
    parts: tuple[AnyPart, ...]
    name: str | None = None
    path: str = ""


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may ask for; its `description` may be unread, `parameters` always is."""

    name: str
    description: Wording | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    path: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionTool) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[object, ...]:
        said = None if self.description is None else words_of(self.description)
        return self.name, said, self.parameters, self.strict, self.cache, self.path


class BuiltinTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the vendor runs itself (web search, code execution), or another vendor-only kind."""

    kind: str
    raw: Raw
    path: str = ""


Tool: TypeAlias = FunctionTool | BuiltinTool


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and which tool must be used; `name` only with mode "named"."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The reply must be JSON that fits `schema`."""

    schema: Raw
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class JsonObject(msgspec.Struct, frozen=True):
    """The reply must be some JSON object."""


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model should think.

    `mode` None: only an `effort` was given, from "none" and "minimal" to "xhigh" and "max".
    """

    mode: Literal["enabled", "adaptive", "disabled"] | None = None
    budget_tokens: int | None = None
    effort: str | None = None


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Generic knobs; None where the client said nothing."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Raw | None = None
    n: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A chat request. `extra` holds top-level fields the neutral form has no word for.

    They mean something only in their own dialect; another's codec leaves them out by name.
    """

    model: str
    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    reasoning: Reasoning | None = None
    output: JsonSchema | JsonObject | None = None
    service_tier: str | None = None
    user: str | None = None
    stream: bool = False
    include_usage: bool = False
    extra: dict[str, Raw] = {}


class StopReason(StrEnum):
    """Why a choice ended."""

    END = "end"
    LENGTH = "length"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    PAUSE = "pause"
    CONTEXT_WINDOW = "context_window"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One alternative of a reply. `logprobs` is OpenAI's object, untouched."""

    index: int = 0
    parts: tuple[AssistantPart, ...] = ()
    stop: StopReason = StopReason.END
    stop_sequence: str | None = None
    logprobs: Raw | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply. `created` is in seconds since the epoch, None where the upstream has none."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


# -- stream events -----------------------------------------------------------------------------
# `choice` is the choice's index, `part` the ordinal of the part inside it; parts open in order.


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The stream begins; `usage` where the vendor reports the input at once."""

    id: str
    model: str
    created: int | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More visible text, with its tokens' logprobs; with logprobs alone it opens no part."""

    text: str
    choice: int = 0
    part: int = 0
    logprobs: Raw | None = None


class RefusalDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More of a refusal's text."""

    text: str
    choice: int = 0
    part: int = 0


class ThinkingDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More reasoning text."""

    text: str
    choice: int = 0
    part: int = 0


class ThinkingSigned(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of the reasoning part that ends with it."""

    signature: str
    choice: int = 0
    part: int = 0


class ThinkingRedacted(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reasoning part the vendor encrypted."""

    data: str
    choice: int = 0
    part: int = 0


class ToolCallOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The model starts asking for a tool."""

    id: str
    name: str
    signature: str | None = None
    choice: int = 0
    part: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More of a tool call's arguments: a fragment of JSON text."""

    arguments: str
    choice: int = 0
    part: int = 0


class ChoiceEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A choice is complete."""

    stop: StopReason
    stop_sequence: str | None = None
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True):
    """What the call used so far; a later report replaces an earlier one."""

    usage: Usage


class Closed(msgspec.Struct, frozen=True):
    """The stream ended as its dialect says it should; nothing follows."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream reported an error inside the stream; nothing follows.

    `kind` is the vendor's own error type, `status` the HTTP status it stands for; `code` and
    `param` are the vendor's too, where its dialect has them.
    """

    message: str
    kind: str
    status: int = 502
    code: str | None = None
    param: str | None = None


Event: TypeAlias = (
    Opened
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ThinkingSigned
    | ThinkingRedacted
    | ToolCallOpened
    | ToolCallDelta
    | ChoiceEnded
    | UsageReported
    | Closed
    | Failed
)
