"""Why a request with an Idempotency-Key is not served.

MeterwayError
├── InvalidRequestError
│   └── IdempotencyKeyError           400  the header's value cannot be used
├── IdempotencyKeyReusedError         409  the key marked another request before
├── IdempotencyKeyInUseError          409  the first request with it still runs
├── ReplyNotKeptError                 409  the first request ended, and there is no reply to repeat
└── ReplyUnreadableError              500  the kept reply cannot be opened
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError


class IdempotencyKeyError(InvalidRequestError):
    """The Idempotency-Key is empty, too long, or not printable ASCII."""

    code = "bad_idempotency_key"


class IdempotencyKeyReusedError(MeterwayError):
    """The Idempotency-Key came before with another route or body."""

    status, code = 409, "idempotency_key_reused"


class IdempotencyKeyInUseError(MeterwayError):
    """The first request with this Idempotency-Key is still running."""

    status, code = 409, "idempotency_key_in_use"
    retryable = True


class ReplyNotKeptError(MeterwayError):
    """The first request with this Idempotency-Key was served, but its reply was not kept."""

    status, code = 409, "idempotency_reply_not_kept"


class ReplyUnreadableError(MeterwayError):
    """The reply kept for this Idempotency-Key cannot be opened."""

    code = "idempotency_reply_unreadable"
