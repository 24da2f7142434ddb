"""Writing a client's stream: neutral events to Google's chunks.

Follows https://ai.google.dev/api/generate-content. A function call is one part, so its pieces are
gathered until it is over: when its choice goes on to something else, or ends. The last chunk has
the `finishReason` of every candidate and the usage; its text is empty, because Google's own
clients drop a turn with a chunk that has no content.
"""

from typing import TypeAlias, assert_never

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.gemini.errors import encode_error
from meterway.protocols.chat.gemini.framing import Framing
from meterway.protocols.chat.gemini.logprobs import encode_logprobs
from meterway.protocols.chat.gemini.reply_out import (
    Wire,
    call_of,
    content_of,
    named,
    redacted_of,
    thought_of,
)
from meterway.protocols.chat.gemini.stops import encode_stop
from meterway.protocols.chat.gemini.usage import encode_usage
from meterway.protocols.usage import Usage

_Said: TypeAlias = (
    neutral.TextDelta
    | neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
)


class _Call:
    """A function call as far as it was told."""

    def __init__(self, opened: neutral.ToolCallOpened) -> None:
        self.opened = opened
        self.pieces: list[str] = []

    def part(self) -> Wire:
        opened = self.opened
        return call_of(opened.id, opened.name, "".join(self.pieces), opened.signature)


class GeminiStreamEncoder:
    """Turns neutral events into one client's stream, framed by `framing`."""

    def __init__(self, request: neutral.Request, framing: Framing) -> None:
        self._framing = framing
        self._names = named("", request.model)
        self._model = request.model
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._calls: dict[int, dict[int, _Call]] = {}  # by choice and part
        self._ended: list[neutral.ChoiceEnded] = []

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`; may be empty."""
        match event:
            case neutral.ToolCallOpened():
                self._calls.setdefault(event.choice, {})[event.part] = _Call(event)
                return b""
            case neutral.ToolCallDelta(arguments=arguments):
                call = self._calls.get(event.choice, {}).get(event.part)
                if call is not None:
                    call.pieces.append(arguments)
                return b""
            case neutral.ChoiceEnded():
                self._ended.append(event)
                return self._flush(event.choice)
            case neutral.Opened() | neutral.UsageReported() | neutral.Closed() | neutral.Failed():
                return self._of_all(event)
            case _:
                part = _part(event)
                return b"" if part is None else self._said(event, part)

    def _of_all(
        self, event: neutral.Opened | neutral.UsageReported | neutral.Closed | neutral.Failed
    ) -> bytes:
        """Return the bytes for what concerns the stream as a whole."""
        match event:
            case neutral.Opened():
                self._names = named(event.id, event.model or self._model)
                self._usage, self._tier = event.usage, event.service_tier
                return b""
            case neutral.UsageReported(usage=usage):
                self._usage = usage
                return b""
            case neutral.Closed():
                return self._last() + self._framing.close()
            case neutral.Failed():
                told = self._framing.chunk(json.encode(encode_error(event)))
                return told + self._framing.close()
            case _:
                assert_never(event)

    def _said(
        self,
        event: _Said,
        part: Wire,
    ) -> bytes:
        flushed = self._flush(event.choice) if event.choice in self._calls else b""
        candidate: Wire = {"content": content_of([part]), "index": event.choice}
        if isinstance(event, neutral.TextDelta) and event.logprobs is not None:
            told = encode_logprobs(event.logprobs)
            candidate |= {"logprobsResult": told} if told is not None else {}
        return flushed + self._chunk({"candidates": [candidate]})

    def _flush(self, choice: int) -> bytes:
        """Return the calls of a choice, which are over."""
        calls = self._calls.pop(choice, {})
        if not calls:
            return b""
        parts = [calls[part].part() for part in sorted(calls)]
        return self._chunk({"candidates": [{"content": content_of(parts), "index": choice}]})

    def _last(self) -> bytes:
        candidates = [
            {
                "content": content_of([{"text": ""}]),
                "finishReason": encode_stop(ended.stop),
                "index": ended.choice,
            }
            for ended in self._ended
        ]
        chunk: Wire = {"candidates": candidates}
        if self._usage is not None:
            chunk["usageMetadata"] = encode_usage(self._usage, self._tier)
        return self._chunk(chunk)

    def _chunk(self, chunk: Wire) -> bytes:
        return self._framing.chunk(json.encode(chunk | self._names))


def _part(event: _Said) -> Wire | None:
    """Return the part an event says, None where it says nothing."""
    match event:
        case neutral.TextDelta(text=text, logprobs=logprobs):
            return {"text": text} if text or logprobs is not None else None
        case neutral.RefusalDelta(text=text):
            return {"text": text} if text else None
        case neutral.ThinkingDelta(text=text):
            return thought_of(text, None) if text else None
        case neutral.ThinkingSigned(signature=signature):
            return thought_of("", signature)
        case neutral.ThinkingRedacted(data=data):
            return redacted_of(data)
        case _:
            assert_never(event)
