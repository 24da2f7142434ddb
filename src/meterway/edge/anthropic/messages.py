"""POST /v1/messages.

Follows https://platform.claude.com/docs/en/api/messages
"""

from meterway.edge.anthropic.headers import versioned
from meterway.edge.serving import ChatEndpoint, Desk
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES

PATH = "/v1/messages"


def endpoint(desk: Desk, billing: str = "") -> ChatEndpoint:
    """Return the handler of the route; `billing` names the billing channel."""
    return ChatEndpoint(ANTHROPIC_MESSAGES, desk, versioned, billing)
