"""Passwords as Argon2id hashes (RFC 9106); about 50 ms and 64 MB each, so never in a loop."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415 - gateway workers never need it

    return PasswordHasher()


def hashed(password: str) -> str:
    """Return the hash to store, with its parameters and salt in it."""
    return _hasher().hash(password)


def matches(stored: str, password: str) -> bool:
    """Say whether `password` is the one that was stored."""
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - as above

    try:
        return _hasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
