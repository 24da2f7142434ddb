"""Reading an upstream's stream: Google's chunks to neutral events.

Follows https://ai.google.dev/api/generate-content. Function calls come whole; texts and thoughts
in pieces. Nothing marks the end: a stream is whole once every candidate has a `finishReason`. A
JSON array of the same chunks, or a whole reply, is understood too.
"""

import msgspec

from meterway.kit import sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.errors import failed
from meterway.protocols.chat.gemini.logprobs import decode_logprobs
from meterway.protocols.chat.gemini.reply_in import (
    arguments_of,
    blocked,
    call_id,
    chunks_of,
    decode_chunk,
    signature_of,
)
from meterway.protocols.chat.gemini.stops import decode_stop
from meterway.protocols.chat.gemini.usage import decode_tier, decode_usage
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

_DONE = b"[DONE]"
_LIST, _OBJECT = b"[", b"{"


class GeminiStreamDecoder:
    """Implements `StreamDecoder` for this dialect."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._array: bytearray | None = None
        self._began = self._opened = self._over = False
        self._reply_id = ""
        self._usage: Usage | None = None
        self._candidates: dict[int, _Candidate] = {}

    def feed(self, chunk: bytes) -> list[neutral.Event]:
        """Take the next bytes, cut anywhere. Raises `BadReplyError`."""
        if not self._began and (start := chunk.lstrip()):
            self._began = True
            if start[:1] in {_LIST, _OBJECT}:
                self._array = bytearray()
        if self._array is not None:
            self._array += chunk
            return []
        events: list[neutral.Event] = []
        for block in self._splitter.feed(chunk):
            self._take_block(block, events)
        return events

    def end(self) -> list[neutral.Event]:
        """Hear that the bytes are over; a last event may lack its blank line."""
        events: list[neutral.Event] = []
        if self._array is not None:
            body = bytes(self._array).strip()
            for raw in chunks_of(body) if body.startswith(_LIST) else [body]:
                self._take(raw, events)
        elif rest := self._splitter.rest().strip():
            self._take_block(rest + b"\n\n", events)
        is_whole = self._candidates and all(one.ended for one in self._candidates.values())
        if is_whole and not self._over:
            self._over = True
            events.append(neutral.Closed())
        return events

    def _take_block(self, block: bytes, events: list[neutral.Event]) -> None:
        event = sse.parse(block)
        if event is not None and event.data.strip() not in {b"", _DONE}:
            self._take(event.data, events)

    def _take(self, data: bytes | msgspec.Raw, events: list[neutral.Event]) -> None:
        if self._over:
            return
        chunk = decode_chunk(data)
        if chunk.error is not None:
            self._over = True
            events.append(failed(chunk.error))
            return
        usage = decode_usage(chunk.usage_metadata)
        if not self._opened:
            self._open(chunk, usage, events)
        for candidate in chunk.candidates or ():
            self._of(candidate.index).take(candidate, events)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._of(0).block(chunk.prompt_feedback, events)
        ended = [one.ended for one in self._candidates.values()]
        if usage is not None and usage != self._usage and ended and all(ended):
            self._usage = usage  # told once it is whole; until then the first chunk's stands
            events.append(neutral.UsageReported(usage))

    def _open(self, chunk: wire.Reply, usage: Usage | None, events: list[neutral.Event]) -> None:
        self._opened = True
        self._reply_id = chunk.response_id or ""
        tier = chunk.usage_metadata.service_tier if chunk.usage_metadata else None
        events.append(
            neutral.Opened(
                id=self._reply_id,
                model=chunk.model_version or "",
                usage=usage,
                service_tier=decode_tier(tier),
            )
        )

    def _of(self, index: int) -> "_Candidate":
        found = self._candidates.get(index)
        if found is None:
            found = self._candidates[index] = _Candidate(index, self._reply_id)
        return found


class _Candidate:
    """One candidate: which part is open, and what it told so far."""

    def __init__(self, index: int, reply_id: str) -> None:
        self.ended = False
        self._index = index
        self._reply_id = reply_id
        self._parts = self._calls = 0
        self._open = ""  # the kind of the part that more may be added to
        self._thinks = False

    def take(self, candidate: wire.Candidate, events: list[neutral.Event]) -> None:
        """Add the events of one chunk's candidate; nothing follows its end."""
        if self.ended:
            return
        try:
            logprobs = decode_logprobs(candidate.logprobs_result)
        except wire.UNREADABLE as error:
            message = f"The upstream's log probabilities are malformed: {error}."
            raise BadReplyError(message) from None
        for part in (candidate.content.parts if candidate.content else None) or ():
            logprobs = self._take_part(part, logprobs, events)
        if logprobs is not None:
            events.append(neutral.TextDelta(text="", choice=self._index, logprobs=logprobs))
        if candidate.finish_reason and candidate.finish_reason != "FINISH_REASON_UNSPECIFIED":
            self._end(decode_stop(candidate.finish_reason, calls=bool(self._calls)), events)

    def block(self, feedback: wire.Feedback, events: list[neutral.Event]) -> None:
        """Add the events of a prompt that was blocked."""
        if self.ended:
            return
        choice = blocked(feedback)
        for part in choice.parts:
            assert isinstance(part, neutral.Refusal), "a blocked prompt says why, and no more"
            events.append(neutral.RefusalDelta(text=part.text, part=self._next("refusal")))
        self._end(choice.stop, events)

    def _end(self, stop: neutral.StopReason, events: list[neutral.Event]) -> None:
        self.ended = True
        events.append(neutral.ChoiceEnded(stop=stop, choice=self._index))

    def _take_part(
        self, part: wire.Said, logprobs: msgspec.Raw | None, events: list[neutral.Event]
    ) -> msgspec.Raw | None:
        """Add one part's events; return the log probabilities that no text has carried yet."""
        index = self._index
        if part.function_call is not None:
            self._call(part.function_call, part.thought_signature, events)
        elif part.inline_data is not None:
            if not part.thought:
                raise BadReplyError("The upstream's stream holds a file, which no stream carries.")
        elif part.thought:
            if part.text or part.thought_signature:
                self._think(part.text or "", part.thought_signature, events)
        else:
            if part.text:
                at = self._part("text")
                events.append(
                    neutral.TextDelta(text=part.text, choice=index, part=at, logprobs=logprobs)
                )
                logprobs = None
            if part.thought_signature and self._thinks:
                self._next("thought")
                self._think("", part.thought_signature, events)
        return logprobs

    def _think(self, text: str, mark: str | None, events: list[neutral.Event]) -> None:
        self._thinks = True
        at = self._part("thought")
        events.append(neutral.ThinkingDelta(text=text, choice=self._index, part=at))
        if (signature := signature_of(mark)) is not None:
            self._open = ""
            events.append(neutral.ThinkingSigned(signature=signature, choice=self._index, part=at))

    def _call(
        self, call: wire.FunctionCall, signature: str | None, events: list[neutral.Event]
    ) -> None:
        at, index = self._next(""), self._index
        events.append(
            neutral.ToolCallOpened(
                id=call.id or call_id(self._reply_id, self._calls),
                name=call.name or "",
                signature=signature or None,
                choice=index,
                part=at,
            )
        )
        self._calls += 1
        arguments = arguments_of(call)
        events.append(neutral.ToolCallDelta(arguments=arguments, choice=index, part=at))

    def _part(self, kind: str) -> int:
        """Return the ordinal of the open part of `kind`, opening one where another is open."""
        return self._parts - 1 if self._open == kind else self._next(kind)

    def _next(self, kind: str) -> int:
        self._open = kind
        self._parts += 1
        return self._parts - 1
