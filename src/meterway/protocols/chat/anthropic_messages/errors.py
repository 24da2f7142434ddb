"""Anthropic's error objects, as upstreams send them.

Source: https://platform.claude.com/docs/en/api/errors
"""

from collections.abc import Mapping

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_family import STATUSES, kind_of
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.vendor_errors import vendor_message
from meterway.protocols.vendor_text import clean


class _Body(msgspec.Struct):
    error: wire.Error


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
    """Read an upstream's error answer, whatever its body looks like."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except wire.UNREADABLE:
        return neutral.Failed(
            message=vendor_message(status, headers, body), kind=kind_of(status), status=status
        )
    kind = error.type if error.type in STATUSES else kind_of(status)
    return neutral.Failed(message=vendor_message(status, headers, body), kind=kind, status=status)


def failed(error: wire.Error | None) -> neutral.Failed:
    """Read an error that came inside a 200: a stream's error event, or an object."""
    error = error or wire.Error(message="The upstream reported an error without saying which.")
    status = STATUSES.get(error.type, 502)
    return neutral.Failed(message=clean(error.message), kind=error.type, status=status)
