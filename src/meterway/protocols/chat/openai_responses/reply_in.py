"""A whole response from an upstream, read into the neutral form: a stream of one event."""

from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import collect
from meterway.protocols.chat.openai_responses.stream_in import ResponsesStreamDecoder


def decode_reply(body: bytes, maker: str = "") -> neutral.Reply | neutral.Failed:
    """Read a whole response; `Failed` where it is an error or failed. Raises `BadReplyError`."""
    events: list[neutral.Event] = []
    ResponsesStreamDecoder(maker).take_whole(body, events)
    last = events[-1]
    return last if isinstance(last, neutral.Failed) else collect(events)
