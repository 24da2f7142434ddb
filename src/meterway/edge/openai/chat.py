"""POST /v1/chat/completions.

Follows https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping

import msgspec

from meterway.auth.types import Principal
from meterway.edge.http import Request
from meterway.edge.openai.keeping import CompletionKeep
from meterway.edge.openai.shelf import Shelf
from meterway.edge.serving import ChatEndpoint, Desk, Keep
from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import ClientCodec
from meterway.protocols.chat.openai_chat import OPENAI_CHAT

PATH = "/v1/chat/completions"
_FALSE = msgspec.Raw(b"false")


def endpoint(desk: Desk, billing: str = "", shelf: Shelf | None = None) -> ChatEndpoint:
    """Return the handler of the route.

    `billing` names the billing channel; without a `shelf` nothing is kept, whatever is asked.
    """
    keeping = _Keeping(shelf)
    return ChatEndpoint(OPENAI_CHAT, desk, _passed, billing, keeping)


def _passed(request: Request, body: RawObject) -> Mapping[str, str]:  # noqa: ARG001 - a Passed
    """Pass nothing on: organisation and project headers name accounts of the caller's, not ours."""
    return {}


class _Keeping:
    """Decides whether a reply is kept; an upstream is never asked to keep it in our place.

    Metadata belong to what is kept and stay here with it: OpenAI refuses them without `store`.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self._shelf = shelf

    def __call__(
        self, request: Request, caller: Principal, body: RawObject
    ) -> tuple[ClientCodec, Keep] | None:
        """Return what keeps the reply to a request, None where nothing does."""
        if json.is_null(body["store"]) or not json.decode_as(body["store"], bool, "store"):
            return None
        if self._shelf is None or not caller.keeps:
            body["store"] = _FALSE
            body.pop("metadata", None)
            return None
        del body["store"]
        keep = CompletionKeep(self._shelf, request, caller, body)
        return keep.codec, keep
