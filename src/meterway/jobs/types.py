"""A job, as values; ADR 0011 says how it lives."""

from enum import StrEnum
from typing import Final

import msgspec

MOST_ATTEMPTS: Final = 3
"""How often a job is begun before it is given up."""


class Kind(StrEnum):
    """What a job makes."""

    RESPONSE = "response"


class State(StrEnum):
    """Where a job stands; nobody works on one that is queued or done."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job; `created_at` is in seconds since the epoch.

    `call_id` is the one of the call it makes, however often it is begun, so that it is charged
    once. `payload` is what its kind needs to be run; nothing once it is done. `next_event` numbers
    the first event that its next run tells: no number is ever told twice.
    """

    call_id: int
    response_id: str
    user_id: int
    key_id: int
    kind: Kind = Kind.RESPONSE
    billing: str = ""
    payload: bytes
    state: State = State.QUEUED
    claimed_by: str | None = None
    cancel_requested: bool = False
    created_at: float
    attempts: int = 0
    next_event: int = 0


class Batch(msgspec.Struct, frozen=True):
    """Events that were appended together, each a block of a stream; `last` numbers the last one."""

    last: int
    blocks: bytes


class Pending(msgspec.Struct, frozen=True):
    """Whether any job is queued, and whether any is running."""

    queued: bool
    running: bool

    def __bool__(self) -> bool:
        return self.queued or self.running


class Told(msgspec.Struct, frozen=True):
    """What a reader has not seen of a response; `ended` says that no other batches will follow."""

    batches: list[Batch]
    ended: bool
