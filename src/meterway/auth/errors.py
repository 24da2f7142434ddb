"""Why a caller is not let in; messages never hold more of a key than its mask.

UnauthorizedError
├── MissingKeyError      401  no credential came
├── InvalidKeyError      401  nobody has this key
├── DisabledKeyError     401  the key or its user was disabled or revoked
└── ExpiredKeyError      401  the key's time is over
"""

from meterway.kit.errors import UnauthorizedError


class MissingKeyError(UnauthorizedError):
    """The request carries no key."""


class InvalidKeyError(UnauthorizedError):
    """The key is not one of ours."""


class DisabledKeyError(UnauthorizedError):
    """The key, or the user it belongs to, may not be used any more."""


class ExpiredKeyError(UnauthorizedError):
    """The key was valid until a moment that has passed."""
