"""What can go wrong with redemption codes.

MeterwayError
├── InvalidRequestError
│   └── BadCodeError        400  no such codes can be made
├── NotFoundError
│   └── CodeNotFoundError   404  nobody made this code
├── CodeUsedError           409  somebody redeemed it
└── CodeExpiredError        409  its time is over
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError, NotFoundError


class BadCodeError(InvalidRequestError):
    """No such redemption codes can be made."""

    code = "bad_code"


class CodeNotFoundError(NotFoundError):
    """There is no such redemption code."""

    code = "code_not_found"


class CodeUsedError(MeterwayError):
    """The redemption code was used before."""

    status, code = 409, "code_used"


class CodeExpiredError(MeterwayError):
    """The redemption code could be used until a moment that has passed."""

    status, code = 409, "code_expired"
