"""Passwords as Argon2id hashes (RFC 9106); about 50 ms and 64 MB each, so never in a loop."""


def hashed(password: str) -> str:
    """Return the hash to store, with its parameters and salt in it."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - gateway workers never need it

    return PasswordHasher().hash(password)
