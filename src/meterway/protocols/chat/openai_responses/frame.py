"""What one response is framed by: who it is, and what it repeats of its request.

Follows https://platform.openai.com/docs/api-reference/responses/object: nullable keys are there,
null; the others have the API's defaults where the client said nothing.
"""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_family import decode_at, optional
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.names import ToolNames, tools_of

_DEFAULTS: dict[str, Any] = {
    "background": False,
    "conversation": None,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_ECHO: RawObject = {name: json.raw(value) for name, value in _DEFAULTS.items()}
_FILLED = ("reasoning", "text")  # objects of which a client may send a part
_OPTIONAL = ("prompt", "prompt_cache_options")  # repeated only where they were sent
_Conversation: Any = str | RawObject | None


class Frame(msgspec.Struct, kw_only=True):
    """The frame of one call's response, and the response itself once its end was told.

    `id` is `resp_...`, `created_at` in seconds since the epoch, `model` as asked for. `echo` holds
    the top-level fields the response object repeats, each as JSON. `wants_encrypted`: the client
    asked for `reasoning.encrypted_content`; `wants_logprobs`: for those of visible tokens.
    `names` leads from a tool's name back to its declaration.

    What the codec made with it sets, whole and streamed alike, once the response is completed,
    incomplete or failed: `final`, the whole response object as the client was told it; `output`,
    its items as a JSON array, which keep `encrypted_content` though the client did not ask for it;
    `status`. Before, they are None.
    """

    id: str
    created_at: int
    model: str = ""
    echo: RawObject
    wants_encrypted: bool = False
    wants_logprobs: bool = False
    names: ToolNames = msgspec.field(default_factory=ToolNames)
    final: bytes | None = None
    output: bytes | None = None
    status: str | None = None

    def begin(self) -> None:
        """Forget what an earlier attempt told: another one begins."""
        self.final = self.output = self.status = None


def frame_of(body: RawObject, id_: str, created_at: int) -> Frame:
    """Return the frame of the response to `body`.

    Raises `InvalidRequestError` where `include`, `conversation`, `reasoning`, `text` or `tools` has
    the wrong type; other fields are checked when the request is decoded.
    """
    echo = dict(_ECHO)
    for name, raw in body.items():
        if (name in echo or name in _OPTIONAL) and wire.given(raw):
            echo[name] = raw
    for name in _FILLED:
        if name in body and wire.given(body[name]):
            echo[name] = _filled(name, decode_at(body[name], RawObject, name))
    echo["conversation"] = json.raw(_conversation(body))
    include = optional(body, "include", list[str]) or ()
    return Frame(
        id=id_,
        created_at=created_at,
        model=optional(body, "model", str) or "",
        echo=echo,
        wants_encrypted=wire.ENCRYPTED in include,
        wants_logprobs=wire.LOGPROBS in include,
        names=ToolNames(tools_of(body)),
    )


def _filled(name: str, sent: RawObject) -> msgspec.Raw:
    defaults = msgspec.json.decode(_ECHO[name], type=RawObject)
    return json.raw({**defaults, **sent})


def conversation_id(body: RawObject) -> str | None:
    """Return the id of the conversation a request belongs to: a string, or an object's `id`.

    Raises `InvalidRequestError` where it is neither.
    """
    raw = body.get("conversation")
    if raw is None:
        return None
    named: str | RawObject | None = decode_at(raw, _Conversation, "conversation")
    if isinstance(named, dict):
        return decode_at(named.get("id", wire.NULL), str, "conversation.id")
    return named


def _conversation(body: RawObject) -> dict[str, str] | None:
    named = conversation_id(body)
    return None if named is None else {"id": named}
