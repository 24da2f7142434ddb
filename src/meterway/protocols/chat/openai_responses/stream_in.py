"""A Responses stream from an upstream, read as neutral events; a whole response is its last event.

Follows https://platform.openai.com/docs/api-reference/responses-streaming, and tolerates servers
that leave events out: what deltas did not tell is read from `output_item.done`, and what that did
not from the response at the end. Items of the vendor's own tools are skipped.
"""

import msgspec

from meterway.kit import sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_errors import inner_error
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.reply_items import ItemReader
from meterway.protocols.chat.openai_responses.usage import decode_usage
from meterway.protocols.errors import BadReplyError

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_REASONS = {
    "max_output_tokens": neutral.StopReason.LENGTH,
    "content_filter": neutral.StopReason.CONTENT_FILTER,
}
_decode_event = msgspec.json.Decoder(wire.Event).decode
_decode_response = msgspec.json.Decoder(wire.Response).decode
_DONE = b"[DONE]"


class ResponsesStreamDecoder:
    """Implements `StreamDecoder` for this dialect; `maker` as in `ItemReader`."""

    def __init__(self, maker: str = "") -> None:
        self._splitter = sse.Splitter()
        self._opened = False
        self._over = False
        self._items = ItemReader(maker)

    def feed(self, chunk: bytes) -> list[neutral.Event]:
        """Take the next bytes and return the events completed by them. Raises `BadReplyError`."""
        events: list[neutral.Event] = []
        for block in self._splitter.feed(chunk):
            self._take_block(block, events)
        return events

    def end(self) -> list[neutral.Event]:
        """Hear that the bytes are over: a last event may lack its blank line."""
        events: list[neutral.Event] = []
        tail = self._splitter.rest().strip()
        if tail.startswith(b"{") and not self._opened:
            self.take_whole(tail, events)
        elif tail:
            self._take_block(tail + b"\n\n", events)
        return events

    def take_whole(self, body: bytes, events: list[neutral.Event]) -> None:
        """Add the events of a whole response. Raises `BadReplyError` where `body` is none."""
        try:
            response = _decode_response(body)
            if response.output is None and not wire.given(response.error):
                raise BadReplyError("The upstream's reply is not a response: it has no output.")
            self._end(response, events)
        except wire.UNREADABLE as error:
            raise BadReplyError(f"The upstream's reply is not a response: {error}.") from None

    def _take_block(self, block: bytes, events: list[neutral.Event]) -> None:
        parsed = sse.parse(block)
        if parsed is None or self._over:
            return
        data = parsed.data.strip()
        if not data or data == _DONE:
            return
        try:
            event = _decode_event(data)
            kind = event.type or parsed.name.decode(errors="replace")
            if kind == "error":
                raw = event.error if wire.given(event.error) else msgspec.Raw(data)
                self._fail(inner_error(raw), events)
            elif wire.given(event.response):
                self._take_response(kind, _decode_response(event.response), events)
            elif wire.given(event.error) and not kind:
                self._fail(inner_error(event.error), events)
            else:
                self._items.take(kind, event, events)
        except wire.UNREADABLE as error:
            message = f"The upstream's stream holds data that is no event of a response: {error}."
            raise BadReplyError(message) from None

    def _take_response(
        self, kind: str, response: wire.Response, events: list[neutral.Event]
    ) -> None:
        if kind in ENDS:
            self._end(response, events)
        elif not self._opened:
            self._open(response, events)

    def _open(self, response: wire.Response, events: list[neutral.Event]) -> None:
        self._opened = True
        created = response.created_at
        events.append(
            neutral.Opened(
                id=response.id or "",
                model=response.model or "",
                created=None if created is None else int(created),
                service_tier=response.service_tier,
            )
        )

    def _end(self, response: wire.Response, events: list[neutral.Event]) -> None:
        if wire.given(response.error) or response.status == "failed":
            self._fail(failure_of(response), events)
            return
        if not self._opened:
            self._open(response, events)
        for place, item in enumerate(response.output or ()):
            self._items.finish(place, item, events)
        events.append(neutral.ChoiceEnded(stop=self._stop(response)))
        if (usage := decode_usage(response.usage)) is not None:
            events.append(neutral.UsageReported(usage))
        self._over = True
        events.append(neutral.Closed())

    def _stop(self, response: wire.Response) -> neutral.StopReason:
        if response.status == "incomplete":
            reason = response.incomplete_details and response.incomplete_details.reason
            return _REASONS.get(reason or "", neutral.StopReason.LENGTH)
        if self._items.called:
            return neutral.StopReason.TOOL_CALLS
        return neutral.StopReason.REFUSAL if self._items.refused else neutral.StopReason.END

    def _fail(self, failure: neutral.Failed, events: list[neutral.Event]) -> None:
        self._over = True
        events.append(failure)


def failure_of(response: wire.Response) -> neutral.Failed:
    """Return why a response failed."""
    if wire.given(response.error):
        return inner_error(response.error)
    message = "The upstream's response failed, and it did not say why."
    return neutral.Failed(message=message, kind="server_error")
