"""What the relay itself refuses.

MeterwayError
└── InsufficientBalanceError   402  the account cannot cover the call
"""

from meterway.kit.errors import MeterwayError


class InsufficientBalanceError(MeterwayError):
    """The account is prepaid, and its balance does not cover the call."""

    status, code = 402, "insufficient_balance"
