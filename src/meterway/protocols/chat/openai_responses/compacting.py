"""Compaction: a model makes a conversation short, and one item carries that on.

Follows https://platform.openai.com/docs/api-reference/responses/compact, and the official SDK's
types, which know no message of a user's in what comes out: the item of type `compaction` holds
what users said as well. Its `encrypted_content` is an envelope with their messages and the
summary, which only the gateway opens; in what upstreams are asked later the messages stand as they
were, and the summary as a developer's message. Any model writes it.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from meterway.kit import ids, json
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import PassingCodec
from meterway.protocols.chat.envelopes import Envelope, seal, unseal
from meterway.protocols.chat.openai_responses.codec import OpenAIResponses
from meterway.protocols.chat.openai_responses.items import head_of, input_items
from meterway.protocols.chat.openai_responses.usage import encode_usage
from meterway.protocols.chat.wording import words_of
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage

COMPACTION: Final = "compaction"
_ASK: Final = (
    "Write a summary of this conversation, from which somebody who knows nothing else of it can "
    "go on: what the user wants, what was found out and decided, names, figures and file paths "
    "word by word, what was done and what is left to do. Write the summary alone."
)
_BEFORE: Final = "What was said before, in short:\n\n"


class _Kept(msgspec.Struct):
    """What an envelope holds: what users said, item by item, and the summary of the whole."""

    said: list[msgspec.Raw]
    summary: str


class CompactTurn(OpenAIResponses):
    """The client's codec of one compaction, named `id_` and made at `created_at` (seconds)."""

    def __init__(self, id_: str, created_at: int, body: RawObject) -> None:
        super().__init__()
        self._id = id_
        self._created_at = created_at
        self._said = [item for item in input_items(body) if head_of(item).role == "user"]

    @property
    def through(self) -> PassingCodec | None:
        """Nothing passes: every upstream is asked for a summary in words."""
        return None

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read the conversation, and ask for its summary."""
        request = super().decode_request(body)
        ask = neutral.Message(role=neutral.Role.USER, parts=(neutral.Text(text=_ASK),))
        return msgspec.structs.replace(
            request, messages=(*request.messages, ask), tools=(), tool_choice=None, stream=False
        )

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write the compacted conversation."""
        texts = [
            words_of(part.text)
            for choice in reply.choices[:1]
            for part in choice.parts
            if isinstance(part, neutral.Text)
        ]
        kept = json.encode(_Kept(self._said, "".join(texts))).decode()
        envelope = Envelope(dialect=Dialect.OPENAI_RESPONSES, kind="summary", value=kept)
        item = {"id": ids.object_id("cmp"), "type": COMPACTION, "encrypted_content": seal(envelope)}
        whole: dict[str, Any] = {
            "id": self._id,
            "object": "response.compaction",
            "created_at": self._created_at,
            "output": [item],
            "usage": encode_usage(reply.usage or Usage()),
        }
        return json.encode(whole)


def opened(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put what they hold in the place of our compaction items; a vendor's own stay as they are."""
    return [told for item in items for told in _opened(item)]


def _opened(item: msgspec.Raw) -> Sequence[msgspec.Raw]:
    if head_of(item).kind != COMPACTION:
        return (item,)
    fields = json.decode_top(bytes(item))
    sealed = msgspec.json.decode(fields.get("encrypted_content", b"null"))
    envelope = unseal(sealed) if isinstance(sealed, str) else None
    if envelope is None or envelope.kind != "summary":
        return (item,)
    kept = json.decode_as(envelope.value.encode(), _Kept, "encrypted_content")
    text = {"type": "input_text", "text": _BEFORE + kept.summary}
    return (*kept.said, json.raw({"type": "message", "role": "developer", "content": [text]}))
