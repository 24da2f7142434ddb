"""Message threads, a conversation kept by the vendor: refused, in the way clients recover from.

A thread lives with one credential of one vendor, so a call that another route answers would lose
the turns before it. Told that the request cannot be threaded, the SDK and the agents built on it
send the whole conversation instead.

Source: https://platform.claude.com/docs/en/build-with-claude/message-threads
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.anthropic_messages import wire

_FIELD = "thread"


class ThreadUnsupportedError(InvalidRequestError):
    """The request wants its conversation kept, which no gateway with several routes can promise."""

    code = "thread_unsupported_request"
    details: ClassVar[Mapping[str, Any]] = {"error_code": code, "unsupported": [_FIELD]}


def check_thread(body: RawObject) -> None:
    """Raise `ThreadUnsupportedError` where `body` creates or continues a thread."""
    if wire.given(body.get(_FIELD, wire.NOTHING)):
        message = "thread: this gateway keeps no message threads; send the whole conversation"
        raise ThreadUnsupportedError(message, param=_FIELD)
