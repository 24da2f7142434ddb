"""A whole reply in the neutral form, written as a text completion.

Follows https://platform.openai.com/docs/api-reference/completions/object. A reply that was refused
or filtered ends with `content_filter`, the one word the dialect has for it.
"""

from typing import Any

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.neutral import StopReason
from meterway.protocols.chat.openai_completions.logprobs import encode_logprobs
from meterway.protocols.chat.openai_family import encode_usage
from meterway.protocols.chat.plain_text import id_with, text_of

OBJECT = "text_completion"
PREFIX = "cmpl-"
REASONS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.PAUSE: "stop",
    StopReason.TOOL_CALLS: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT_WINDOW: "length",
    StopReason.CONTENT_FILTER: "content_filter",
    StopReason.REFUSAL: "content_filter",
}


def encode_reply(reply: neutral.Reply, now: int, echoed: str) -> bytes:
    """Write a reply for a client, each choice beginning with `echoed`.

    `now`, in seconds since the epoch, is used where the reply has no time of its own. Raises
    `BadReplyError` where it holds what is no text.
    """
    body: dict[str, Any] = {
        "id": id_with(PREFIX, reply.id),
        "object": OBJECT,
        "created": now if reply.created is None else reply.created,
        "model": reply.model,
        "choices": [_choice(choice, echoed) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    body["system_fingerprint"] = reply.system_fingerprint
    return json.encode(body)


def _choice(choice: neutral.Choice, echoed: str) -> dict[str, Any]:
    return {
        "text": echoed + text_of(choice.parts),
        "index": choice.index,
        "logprobs": encode_logprobs(choice.logprobs, len(echoed)),
        "finish_reason": REASONS[choice.stop],
    }
