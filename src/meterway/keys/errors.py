"""What can go wrong with keys.

MeterwayError
├── NotFoundError
│   └── KeyNotFoundError           404  no key with this id or text
└── InvalidRequestError
    ├── BadRemarkError             400  a remark too long, or with control characters
    ├── UnknownPermissionError     400  a name that is no model, family or capability
    └── TooManyKeysError           400  the user has as many keys as one may have
"""

from meterway.kit.errors import InvalidRequestError, NotFoundError


class KeyNotFoundError(NotFoundError):
    """There is no such key, or it belongs to somebody else."""

    code = "key_not_found"


class BadRemarkError(InvalidRequestError):
    """What a key is for is said in a way that cannot be kept."""

    code = "bad_remark"


class UnknownPermissionError(InvalidRequestError):
    """A permission was asked for that does not exist."""

    code = "unknown_permission"


class TooManyKeysError(InvalidRequestError):
    """The user has as many keys as one user may have."""

    code = "too_many_keys"
