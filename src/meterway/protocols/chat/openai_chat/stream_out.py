"""Neutral events, written as a chat completions stream for a client.

Follows https://platform.openai.com/docs/api-reference/chat-streaming: each choice begins with its
role; where usage was asked for, every chunk has a null `usage` and the last one, without choices,
the figures; `[DONE]` ends the stream.
"""

from typing import Any, TypeAlias, assert_never

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat.reasoning import encode_detail
from meterway.protocols.chat.openai_chat.reply_out import NAMELESS
from meterway.protocols.chat.openai_chat.stops import encode_stop
from meterway.protocols.chat.openai_chat.wire import TIERS, signed
from meterway.protocols.chat.openai_family import encode_failure, encode_usage
from meterway.protocols.usage import Usage

DONE = sse.render(b"[DONE]")
_ROLE = b'{"role":"assistant","content":"","refusal":null}'
_encode = msgspec.json.Encoder().encode


class _Choice:
    """What the client was told of one choice: the numbers its calls and thoughts go by."""

    __slots__ = ("calls", "refused", "thoughts")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.thoughts: dict[int, int] = {}
        self.refused = False


class ChatStreamEncoder:
    """Implements `StreamEncoder` for this dialect.

    `now`, in seconds since the epoch, is used where the stream has no time of its own.
    """

    def __init__(self, *, include_usage: bool, now: int) -> None:
        self._include_usage = include_usage
        self._now = now
        self._head = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._usage: Usage | None = None
        self._choices: dict[int, _Choice] = {}

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`."""
        match event:
            case neutral.TextDelta():
                return self._text(event)
            case neutral.Opened():
                return self._open(event)
            case neutral.UsageReported(usage=usage):
                self._usage = usage
                return b""
            case neutral.Closed():
                return self._last()
            case neutral.Failed():
                return encode_failure(event)
            case _:
                return self._told(event)

    def _told(self, event: "_Later") -> bytes:
        choice, begin = self._choice(event.choice)
        if isinstance(event, neutral.ChoiceEnded):
            reason = encode_stop(event.stop, has_refusal=choice.refused)
            return begin + self._chunk(event.choice, b"{}", reason=reason)
        return begin + self._chunk(event.choice, _encode(_delta(event, choice)))

    def _open(self, event: neutral.Opened) -> bytes:
        head: dict[str, Any] = {
            "id": event.id or NAMELESS,
            "object": "chat.completion.chunk",
            "created": self._now if event.created is None else event.created,
            "model": event.model,
        }
        if event.service_tier in TIERS:
            head["service_tier"] = event.service_tier
        head["system_fingerprint"] = event.system_fingerprint
        self._head = b"data: " + json.encode(head)[:-1] + b',"choices":['
        self._usage = event.usage
        return self._choice(0)[1]

    def _choice(self, index: int) -> tuple[_Choice, bytes]:
        """Return what is known of a choice, and its first chunk where it was not told yet."""
        choice = self._choices.get(index)
        if choice is not None:
            return choice, b""
        choice = self._choices[index] = _Choice()
        return choice, self._chunk(index, _ROLE)

    def _text(self, event: neutral.TextDelta) -> bytes:
        if not event.text and event.logprobs is None:
            return b""
        begin = self._choice(event.choice)[1]
        logprobs = b"null" if event.logprobs is None else bytes(event.logprobs)
        delta = b'{"content":' + _encode(event.text) + b"}"
        return begin + self._chunk(event.choice, delta, logprobs)

    def _chunk(
        self, index: int, delta: bytes, logprobs: bytes = b"null", reason: str | None = None
    ) -> bytes:
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._head,
            index,
            delta,
            logprobs,
            b"null" if reason is None else b'"%b"' % reason.encode(),
            self._tail,
        )

    def _last(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return DONE
        usage = _encode(encode_usage(self._usage))
        return self._head + b'],"usage":' + usage + b"}\n\n" + DONE


_Growing: TypeAlias = (
    neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
    | neutral.ToolCallOpened
    | neutral.ToolCallDelta
)
_Later: TypeAlias = _Growing | neutral.ChoiceEnded


def _delta(event: _Growing, choice: _Choice) -> dict[str, Any]:
    match event:
        case neutral.RefusalDelta(text=text):
            choice.refused = True
            return {"refusal": text}
        case neutral.ThinkingDelta(text=text):
            detail = encode_detail(neutral.Thinking(text=text), _thought(choice, event.part))
            return {"reasoning_content": text, "reasoning_details": [detail]}
        case neutral.ThinkingSigned(signature=signature):
            proof = neutral.Thinking(text="", signature=signature)
            return {"reasoning_details": [encode_detail(proof, _thought(choice, event.part))]}
        case neutral.ThinkingRedacted(data=data):
            hidden = neutral.RedactedThinking(data=data)
            return {"reasoning_details": [encode_detail(hidden, _thought(choice, event.part))]}
        case neutral.ToolCallOpened(id=id_, name=name, signature=signature):
            index = choice.calls.setdefault(event.part, len(choice.calls))
            function = {"name": name, "arguments": ""}
            call = {"index": index, "id": id_, "type": "function", "function": function}
            return {"tool_calls": [signed(call, signature)]}
        case neutral.ToolCallDelta(arguments=arguments):
            index = choice.calls.setdefault(event.part, len(choice.calls))
            return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
        case _:
            assert_never(event)


def _thought(choice: _Choice, part: int) -> int:
    return choice.thoughts.setdefault(part, len(choice.thoughts))
