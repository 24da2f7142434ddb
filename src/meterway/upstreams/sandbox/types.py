"""What the sandbox reads in a request and what it means to say, in no vendor's words."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from meterway.protocols.dialects import Dialect


class Tool(msgspec.Struct, frozen=True):
    """A tool on offer; `schema` is that of its arguments, `custom` takes free text instead."""

    name: str
    schema: Any = None
    custom: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the sandbox understands it.

    `text` is what the user said last, `results` what tools returned since, None where the last
    turn is no tool result. `forced` says that a tool must be used, `chosen` names which one.
    `schema` is the JSON schema the answer must fit; `json` alone asks for any object.
    """

    model: str
    text: str
    stream: bool = False
    attachments: tuple[str, ...] = ()
    results: tuple[str, ...] | None = None
    tools: tuple[Tool, ...] = ()
    forced: bool = False
    chosen: str | None = None
    parallel: bool = True
    json: bool = False
    schema: Any = None
    thinks: bool = False
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    copies: int = 1
    logprobs: int | None = None
    include_usage: bool = False
    tier: str = "default"


class Call(msgspec.Struct, frozen=True):
    """A tool the sandbox asks for; `arguments` is JSON text, or free text for a custom tool."""

    name: str
    arguments: str
    custom: bool = False


class Stop(StrEnum):
    """Why the answer ends."""

    END = "end"
    LENGTH = "length"
    SEQUENCE = "sequence"
    TOOLS = "tools"
    REFUSAL = "refusal"


class Break(StrEnum):
    """What goes wrong half-way through a reply that began well."""

    CUT = "cut"
    ERROR = "error"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox is going to say. `pause` is in seconds, before each piece of a stream."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    stop: Stop = Stop.END
    sequence: str | None = None
    usage: bool = True
    pause: float = 0.0
    breaks: Break | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that says no: `kind` and `code` are OpenAI's, `anthropic` is Anthropic's type."""

    status: int
    kind: str
    anthropic: str
    message: str
    code: str | None = None
    retry_after: int | None = None


class SandboxError(Exception):
    """The sandbox refuses the request as a vendor would."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one reply, and when it was made (seconds); `thinking` is part of `output`."""

    input: int
    output: int
    thinking: int = 0
    at: int = 0


class Counted(Protocol):
    """A number of tokens."""

    @property
    def tokens(self) -> int:
        """How many."""


class Counter(Protocol):
    """The real token counter, as the sandbox needs it."""

    async def count_messages(
        self, dialect: Dialect, model: str, body: Mapping[str, msgspec.Raw]
    ) -> Counted:
        """Return the input tokens of a request body."""

    async def count_text(self, model: str, text: str) -> Counted:
        """Return the tokens of a text."""


def bad_request(message: str, code: str | None = None) -> SandboxError:
    """Return the refusal of a request that is wrong in itself."""
    return SandboxError(
        Fault(
            status=400,
            kind="invalid_request_error",
            anthropic="invalid_request_error",
            message=message,
            code=code,
        )
    )
