"""What is remembered of a request that carries an Idempotency-Key, and of its reply.

The house says *key* of API keys, so what the client sends to mark a request is its *name* here.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """One marked request: whose it is, under which name, and what it asks for.

    `name_hash` and `fingerprint` are SHA-256, 32 bytes.
    """

    user_id: int
    name_hash: bytes
    fingerprint: bytes


class Holder(msgspec.Struct, frozen=True, array_like=True):
    """Who serves a marked request: a process by a name no other ever has, and the call's id."""

    process: str
    call_id: int


class Claim(msgspec.Struct, frozen=True):
    """The right to serve one marked request; times in milliseconds since the epoch."""

    user_id: int
    name_hash: bytes
    holder: bytes
    kept_until: int


class Fate(StrEnum):
    """What became of a call whose holder has not been heard of for a while."""

    UNKNOWN = "unknown"  # it may still run, or its charge may still be on the way
    CHARGED = "charged"  # it ended with a charge, or nobody can say that it did not
    FREE = "free"  # its process is gone for certain, and no charge will ever come


class Loss(StrEnum):
    """Why there is no reply to repeat."""

    TOO_LARGE = "too_large"
    CUT = "cut"


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """A whole reply. `headers` lacks those that belong to one connection or one request."""

    request_id: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """A request that was served, and may have been charged, without a reply to repeat."""

    request_id: str
    why: Loss


Ended: TypeAlias = Kept | Lost


class Sealed(msgspec.Struct, frozen=True):
    """An `Ended` as it lies in the database."""

    data: bytes
