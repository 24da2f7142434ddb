"""What can go wrong between two dialects.

InvalidRequestError
└── UnsupportedContentError   the target dialect has no way to say this part
UnavailableError
└── CompactedElsewhereError   only the upstream that made a compaction item can read it
MeterwayError
└── BadReplyError             an upstream's answer is not what its dialect says
"""

from typing import Final

from meterway.kit.errors import InvalidRequestError, MeterwayError, UnavailableError

ACCOUNT_EMPTY: Final = (
    "The gateway's own account at the provider cannot pay; its operator has to top it up."
)


class UnsupportedContentError(InvalidRequestError):
    """The upstream's dialect cannot express a part of the request; `param` is its JSON path."""

    code = "unsupported_content"


class CompactedElsewhereError(UnavailableError):
    """What stands for a conversation is encrypted by another upstream; `param` is its JSON path.

    Without it the model would go on as if nothing had been said before, so it is not left out.
    """

    code = "compacted_elsewhere"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Only the channel that made '{path}' can read it, and it does not answer now. "
            "Retry later, or send what was said before in its place.",
            param=path,
        )


class BadReplyError(MeterwayError):
    """The upstream answered with something its own dialect does not allow."""

    status, code = 502, "bad_upstream_reply"
    retryable = True
