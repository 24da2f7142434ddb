"""Neutral events, written as a text completions stream for a client.

Follows https://platform.openai.com/docs/api-reference/completions: chunks have the shape of a whole
reply, `[DONE]` ends the stream; where usage was asked for, every chunk has a null `usage` and the
last one, without choices, the figures. The first chunk comes as soon as the upstream answers.
"""

from typing import Any

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_completions.logprobs import encode_logprobs
from meterway.protocols.chat.openai_completions.reply_out import OBJECT, PREFIX, REASONS
from meterway.protocols.chat.openai_family import encode_failure, encode_usage
from meterway.protocols.chat.plain_text import PartEvent, id_with, more_text
from meterway.protocols.usage import Usage

DONE = sse.render(b"[DONE]")
_encode = msgspec.json.Encoder().encode


class CompletionStreamEncoder:
    """Implements `StreamEncoder` for this dialect; each choice begins with `echoed`.

    `now`, in seconds since the epoch, is used where the stream has no time of its own.
    """

    def __init__(self, *, include_usage: bool, now: int, echoed: str) -> None:
        self._include_usage = include_usage
        self._now = now
        self._echoed = echoed
        self._head = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._usage: Usage | None = None
        self._told: dict[int, int] = {}  # characters, by choice

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`. Raises `BadReplyError`."""
        match event:
            case neutral.Opened():
                return self._open(event)
            case neutral.UsageReported(usage=usage):
                self._usage = usage
                return b""
            case neutral.Closed():
                return self._last()
            case neutral.Failed():
                return encode_failure(event)
            case neutral.ChoiceEnded():
                begin = self._begin(event.choice)
                return begin + self._chunk(event.choice, "", reason=REASONS[event.stop])
            case _:
                return self._text(event)

    def _open(self, event: neutral.Opened) -> bytes:
        head: dict[str, Any] = {
            "id": id_with(PREFIX, event.id),
            "object": OBJECT,
            "created": self._now if event.created is None else event.created,
            "model": event.model,
            "system_fingerprint": event.system_fingerprint,
        }
        self._head = b"data: " + json.encode(head)[:-1] + b',"choices":['
        self._usage = event.usage
        return self._begin(0)

    def _begin(self, choice: int) -> bytes:
        """Return a choice's first chunk, where it was not told yet."""
        if choice in self._told:
            return b""
        self._told[choice] = len(self._echoed)
        return self._chunk(choice, self._echoed)

    def _text(self, event: PartEvent) -> bytes:
        choice, text = event.choice, more_text(event)
        logprobs = event.logprobs if isinstance(event, neutral.TextDelta) else None
        if not text and logprobs is None:
            return b""
        begin = self._begin(choice)
        told = encode_logprobs(logprobs, self._told[choice])
        self._told[choice] += len(text)
        return begin + self._chunk(choice, text, told)

    def _chunk(
        self,
        choice: int,
        text: str,
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> bytes:
        return b'%b{"text":%b,"index":%d,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._head,
            _encode(text),
            choice,
            _encode(logprobs),
            _encode(reason),
            self._tail,
        )

    def _last(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return DONE
        usage = _encode(encode_usage(self._usage))
        return self._head + b'],"usage":' + usage + b"}\n\n" + DONE
