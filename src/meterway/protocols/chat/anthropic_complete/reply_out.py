r"""A whole reply in the neutral form, written as a text completion.

Follows https://docs.anthropic.com/en/api/complete, and for `stop` and `log_id` what the API always
sent besides. A reply that came to its own end stopped, in the API's terms, at the built-in stop
sequence `\n\nHuman:`. A refused reply says so by the word that messages have, `refusal`: as
`stop_sequence` it would pass for whole. Where there are several choices, the first is told.
"""

from typing import Any

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_complete.prompts import HUMAN
from meterway.protocols.chat.neutral import StopReason
from meterway.protocols.chat.plain_text import id_with, text_of

PREFIX = "compl_"
_ENDED = (StopReason.END, StopReason.TOOL_CALLS, StopReason.PAUSE)
_REASONS = {
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT_WINDOW: "max_tokens",
    StopReason.CONTENT_FILTER: "refusal",
    StopReason.REFUSAL: "refusal",
}


def encode_reply(reply: neutral.Reply) -> bytes:
    """Write a reply for a client. Raises `BadReplyError` where it holds what is no text."""
    choice = reply.choices[0] if reply.choices else neutral.Choice()
    id_ = id_with(PREFIX, reply.id)
    stop = stopped(choice.stop, choice.stop_sequence)
    return json.encode(completion(id_, reply.model, text_of(choice.parts), stop))


def completion(id_: str, model: str, text: str, stop: dict[str, Any]) -> dict[str, Any]:
    """Return a completion object; a stream's events are such objects too."""
    head = {"type": "completion", "id": id_, "completion": text}
    return {**head, **stop, "model": model, "log_id": id_}


def stopped(reason: StopReason, sequence: str | None) -> dict[str, Any]:
    """Return the fields that say why a completion ended."""
    if reason in _ENDED:
        sequence = HUMAN
    return {"stop_reason": _REASONS.get(reason, "stop_sequence"), "stop": sequence}
