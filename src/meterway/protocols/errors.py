"""What can go wrong between two dialects.

InvalidRequestError
└── UnsupportedContentError   the target dialect has no way to say this part
MeterwayError
└── BadReplyError             an upstream's answer is not what its dialect says
"""

from typing import Final

from meterway.kit.errors import InvalidRequestError, MeterwayError

ACCOUNT_EMPTY: Final = (
    "The gateway's own account at the provider cannot pay; its operator has to top it up."
)


class UnsupportedContentError(InvalidRequestError):
    """The upstream's dialect cannot express a part of the request; `param` is its JSON path."""

    code = "unsupported_content"


class BadReplyError(MeterwayError):
    """The upstream answered with something its own dialect does not allow."""

    status, code = 502, "bad_upstream_reply"
    retryable = True
