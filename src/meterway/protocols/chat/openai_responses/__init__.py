"""OpenAI's Responses API, as client and as upstream dialect.

A response repeats most of its request, so clients are served by a codec made for one call,
`ResponsesTurn(frame_of(body, id, now))`, which leaves the whole response in its frame.
"""

from meterway.protocols.chat.openai_responses import background
from meterway.protocols.chat.openai_responses.codec import OpenAIResponses, ResponsesTurn
from meterway.protocols.chat.openai_responses.compacting import COMPACTION, CompactTurn, opened
from meterway.protocols.chat.openai_responses.frame import Frame, conversation_id, frame_of
from meterway.protocols.chat.openai_responses.items import (
    Head,
    head_of,
    input_items,
    listed_items,
    output_items,
    reference_of,
    unread_items,
    with_items,
)
from meterway.protocols.chat.openai_responses.replay import told_again

OPENAI_RESPONSES = OpenAIResponses()

__all__ = [
    "COMPACTION",
    "OPENAI_RESPONSES",
    "CompactTurn",
    "Frame",
    "Head",
    "ResponsesTurn",
    "background",
    "conversation_id",
    "frame_of",
    "head_of",
    "input_items",
    "listed_items",
    "opened",
    "output_items",
    "reference_of",
    "told_again",
    "unread_items",
    "with_items",
]
