"""Message threads: a conversation that the vendor keeps for some minutes, as far as it can.

A thread lives with one credential of one vendor, and the next turn may take another route; so
none is ever kept here. That is within the contract: a thread may be lost at any time, a reply to
`create` does not promise one, and clients told so at the next turn send the whole conversation.

Source: https://platform.claude.com/docs/en/build-with-claude/message-threads
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from meterway.kit.errors import NotFoundError
from meterway.kit.json import RawObject
from meterway.protocols.chat.anthropic_family import decode_at
from meterway.protocols.chat.anthropic_messages import wire

_FIELD = "thread"


class ThreadNotFoundError(NotFoundError):
    """The turns before this one were not kept; the client has to send them again."""

    code = "thread_not_found"
    details: ClassVar[Mapping[str, Any]] = {"error_code": code}


class _Thread(msgspec.Struct):
    type: str


def take_thread(body: RawObject) -> None:
    """Take the wish to keep or continue a thread from `body`, so that no upstream sees it.

    Raises `ThreadNotFoundError` where a thread is continued, and `InvalidRequestError` for what
    is no such wish.
    """
    wish = body.pop(_FIELD, wire.NOTHING)
    if wire.given(wish) and decode_at(wish, _Thread, _FIELD).type != "create":
        message = "thread: not found here; send the whole conversation"
        raise ThreadNotFoundError(message, param=_FIELD)
