"""What limits refuse.

MeterwayError
└── RateLimitedError   429  a limit of requests, tokens or concurrency is used up
"""

from typing import ClassVar

from meterway.kit.errors import MeterwayError
from meterway.limits.types import Standings


class RateLimitedError(MeterwayError):
    """A limit of requests, tokens or calls at once is used up; wait as long as is said.

    `standings` says what is left, for the headers.
    """

    status, code = 429, "rate_limit_exceeded"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, retry_after: float, standings: Standings) -> None:
        super().__init__(message, retry_after=retry_after)
        self.standings = standings
