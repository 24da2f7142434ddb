"""The headers of Anthropic's API that a client may set and that travel on to the vendor.

Follows https://platform.claude.com/docs/en/api/versioning and .../api/beta-headers
"""

from collections.abc import Mapping

from meterway.edge.http import Request
from meterway.kit.json import RawObject
from meterway.protocols.chat.anthropic_messages import check_version, take_thread

_TRAVELLING = ("anthropic-version", "anthropic-beta")


def versioned(request: Request, body: RawObject) -> Mapping[str, str]:
    """Check `body` against the version asked for and return the headers that travel on.

    Raises `InvalidRequestError` where the version does not allow what the body holds, and
    `ThreadNotFoundError` where it continues a thread.
    """
    take_thread(body)
    check_version(body, request.text(b"anthropic-version"))
    return travelling(request)


def travelling(request: Request) -> Mapping[str, str]:
    """Return the version and beta headers of `request`."""
    found = ((name, request.text(name.encode())) for name in _TRAVELLING)
    return {name: value for name, value in found if value}
