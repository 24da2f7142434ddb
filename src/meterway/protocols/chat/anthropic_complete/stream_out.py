"""Neutral events, written as a text completions stream for a client.

Follows https://docs.anthropic.com/en/api/streaming (text completions): `completion` events, each
with more text, the last one with the stop reason alone; `ping` events mean nothing, and one comes
as soon as the upstream answers. The dialect has no usage, and room for one choice, the first.
"""

from typing import Any, Final

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_complete.reply_out import PREFIX, completion, stopped
from meterway.protocols.chat.anthropic_family import encode_failure
from meterway.protocols.chat.plain_text import id_with, more_text

PING: Final = sse.render(b'{"type":"ping"}', b"ping")
_GOES_ON: Final = {"stop_reason": None, "stop": None}


class CompleteStreamEncoder:
    """Implements `StreamEncoder` for this dialect; `model` is what the client asked for."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = id_with(PREFIX, "")
        self._ended = False

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`. Raises `BadReplyError`."""
        match event:
            case neutral.Opened():
                self._id, self._model = id_with(PREFIX, event.id), event.model or self._model
                return PING
            case neutral.UsageReported():
                return b""
            case neutral.Closed():
                return b"" if self._ended else self._end(neutral.StopReason.END, None)
            case neutral.Failed():
                return encode_failure(event)
            case neutral.ChoiceEnded():
                return self._end(event.stop, event.stop_sequence) if event.choice == 0 else b""
            case _:
                text = more_text(event) if event.choice == 0 else ""
                return self._say(text, _GOES_ON) if text else b""

    def _end(self, reason: neutral.StopReason, sequence: str | None) -> bytes:
        self._ended = True
        return self._say("", stopped(reason, sequence))

    def _say(self, text: str, stop: dict[str, Any]) -> bytes:
        told = completion(self._id, self._model, text, stop)
        return sse.render(json.encode(told), b"completion")
