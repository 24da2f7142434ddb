"""What can go wrong with users.

MeterwayError
├── NotFoundError
│   └── UserNotFoundError      404  nobody has this e-mail address
├── InvalidRequestError
│   └── BadUserError           400  the e-mail address, the password or the tier cannot be used
└── UserExistsError            409  somebody has this e-mail address
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError, NotFoundError


class UserNotFoundError(NotFoundError):
    """There is no such user."""

    code = "user_not_found"


class BadUserError(InvalidRequestError):
    """The e-mail address, the password or the tier cannot be used."""

    code = "bad_user"


class UserExistsError(MeterwayError):
    """The e-mail address is taken."""

    status, code = 409, "user_exists"
