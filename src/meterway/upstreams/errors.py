"""What can go wrong on the way to an upstream.

MeterwayError
├── TransportError            the exchange broke; `retryable` says whether another try may help
│   ├── ConnectError          no connection (refused, name unknown, TLS failed)
│   ├── ConnectTimeoutError   no connection in time
│   ├── FirstByteTimeoutError connected, request sent, no answer in time
│   ├── IdleTimeoutError      the answer began and then fell silent
│   ├── CutConnectionError    the peer closed before the end
│   ├── ProtocolError         what came is not HTTP, or is over a limit
│   └── ReplyTooLargeError    the body is over the limit
└── UpstreamError             a whole answer that says no: vendor status, kind and message
    ├── RequestRefusedError   the request itself is at fault; no other route would help
    │   └── ThoughtsRefusedError  it brings encrypted thoughts that another account made
    ├── ModelMissingError     the vendor does not know the model
    ├── CredentialRefusedError  the channel's own key was refused, never the caller's
    ├── AccountEmptyError     the channel's own account cannot pay
    ├── RateLimitedError      the channel's own limits are used up
    └── VendorFaultError      the vendor failed or is overloaded
"""

from collections.abc import Iterable
from typing import ClassVar

from meterway.kit.errors import MeterwayError

_LEAST_SECRET = 6  # characters; what is shorter may be a word of the sentence
_MASK = "***"


class TransportError(MeterwayError):
    """The exchange with an upstream broke.

    `message` has the details, such as the upstream's address, for logs and operators; `shown` is
    what a caller may read.
    """

    status, code = 502, "upstream_unreachable"
    retryable = True
    shown: ClassVar[str] = "The provider could not be reached."


class ConnectError(TransportError):
    """No connection to the upstream: refused, unknown name, or TLS failed."""


class ConnectTimeoutError(TransportError):
    """No connection to the upstream in time."""

    status, code = 504, "upstream_connect_timeout"
    shown = "The provider could not be reached in time."


class FirstByteTimeoutError(TransportError):
    """The upstream took the request and did not begin to answer in time."""

    status, code = 504, "upstream_timeout"
    shown = "The provider did not begin to answer in time."


class IdleTimeoutError(TransportError):
    """The upstream began to answer and then fell silent."""

    status, code = 504, "upstream_idle_timeout"
    shown = "The provider fell silent before its answer ended."


class CutConnectionError(TransportError):
    """The upstream closed the connection before its answer ended."""

    code = "upstream_cut"
    shown = "The provider closed the connection before its answer ended."


class ProtocolError(TransportError):
    """What the upstream sent is not HTTP as agreed, or is over a limit."""

    code = "upstream_protocol_error"
    shown = "The provider's answer is not valid HTTP, or is over a limit."


class ReplyTooLargeError(TransportError):
    """The upstream's answer is larger than the gateway accepts."""

    code = "upstream_reply_too_large"
    retryable = False
    shown = "The provider's answer is larger than the gateway accepts."


class UpstreamError(MeterwayError):
    """The upstream answered with an error.

    `status` is the one to show the caller, `upstream_status` the vendor's own; `kind` is the
    vendor's error type; `code`, where given, the vendor's own; `retry_after` in seconds where the
    vendor gave one. `falls_back` says that another route may do better, `cools` that this one
    should rest for a while.
    """

    code = "upstream_error"
    falls_back: ClassVar[bool] = True
    cools: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 - each is a fact of the vendor's answer
        self,
        message: str,
        *,
        status: int,
        upstream_status: int,
        kind: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        if code is not None:
            self.code = code  # type: ignore[misc]  # the vendor's own is more precise than the class's
        self.status = status  # type: ignore[misc]  # the class default is replaced by the vendor's answer
        self.upstream_status = upstream_status
        self.kind = kind

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask `secrets` in what the vendor said: an answer may repeat the request's head."""
        for secret in secrets:
            if len(secret) >= _LEAST_SECRET:
                self.message = self.message.replace(secret, _MASK)
                self.param = self.param and self.param.replace(secret, _MASK)
                self.code = self.code.replace(secret, _MASK)  # type: ignore[misc]  # see `__init__`
        self.args = (self.message,)


class RequestRefusedError(UpstreamError):
    """The vendor refused the request for what it says; it would be refused again."""

    code = "invalid_request"
    falls_back, cools = False, False


class ThoughtsRefusedError(RequestRefusedError):
    """The vendor cannot read an encrypted thought; the channel that made it can."""

    status, code = 400, "invalid_encrypted_content"
    falls_back = True


class ModelMissingError(UpstreamError):
    """The vendor does not offer the model to this channel."""

    code = "model_not_found"
    cools = False


class CredentialRefusedError(UpstreamError):
    """The vendor refused the channel's own credential; the caller's key is fine."""

    code = "upstream_credential_refused"


class AccountEmptyError(UpstreamError):
    """The channel's own account at the vendor has no credit or quota left."""

    code = "upstream_account_empty"


class RateLimitedError(UpstreamError):
    """The channel's own rate limit at the vendor is used up."""

    code = "upstream_rate_limited"
    retryable = True


class VendorFaultError(UpstreamError):
    """The vendor failed, timed out, or has no capacity."""

    code = "upstream_fault"
    retryable = True
