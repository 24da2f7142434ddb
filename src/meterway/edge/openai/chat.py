"""POST /v1/chat/completions.

Follows https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping

from meterway.edge.http import Request
from meterway.edge.serving import ChatEndpoint, Desk
from meterway.kit.json import RawObject
from meterway.protocols.chat.openai_chat import OPENAI_CHAT

PATH = "/v1/chat/completions"


def endpoint(desk: Desk, billing: str = "") -> ChatEndpoint:
    """Return the handler of the route; `billing` names the billing channel."""
    return ChatEndpoint(OPENAI_CHAT, desk, _passed, billing)


def _passed(request: Request, body: RawObject) -> Mapping[str, str]:  # noqa: ARG001 - a Passed
    """Pass nothing on: organisation and project headers name accounts of the caller's, not ours."""
    return {}
