"""The root of every error the product raises on purpose.

    MeterwayError                    status, code, message; faces render it in a dialect
    ├── InvalidRequestError          400  the caller's request cannot be understood
    ├── UnauthorizedError            401  no key, or one that is not valid
    ├── ForbiddenError               403  a valid key that may not do this
    ├── NotFoundError                404  no such thing, or not visible to this caller
    ├── TooLargeError                413  the request is over a stated limit
    └── UnavailableError             503  a passing fault of ours; retry later

Slices derive one class per thing that happens, next to what raises it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class MeterwayError(Exception):
    """Something went wrong in a way the caller should hear about.

    `status` is the HTTP status, `code` the stable machine name. `message` says what
    happened and what to do next, and must never hold a secret. `param` names the JSON
    path of the offending field; `retry_after` is in seconds. `details` are facts that programs
    read, where a dialect has a place for them.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    details: ClassVar[Mapping[str, Any] | None] = None

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class InvalidRequestError(MeterwayError):
    """The request cannot be understood as it stands."""

    status, code = 400, "invalid_request"


class UnauthorizedError(MeterwayError):
    """No credential came, or it is not valid."""

    status, code = 401, "invalid_api_key"


class ForbiddenError(MeterwayError):
    """The credential is valid but does not allow this."""

    status, code = 403, "permission_denied"


class NotFoundError(MeterwayError):
    """There is no such thing, or the caller may not know of it."""

    status, code = 404, "not_found"


class TooLargeError(MeterwayError):
    """The request is over a stated limit."""

    status, code = 413, "request_too_large"


class UnavailableError(MeterwayError):
    """A passing fault of the gateway itself; the same call may succeed later."""

    status, code = 503, "service_unavailable"
    retryable = True
