"""What can go wrong with budgets.

MeterwayError
├── InvalidRequestError
│   └── BadPotError              400  no pot of a user, or no amount that can be moved there
├── InsufficientBalanceError     402  what a call may cost is not there
├── InsufficientFundsError       409  what is to be taken is spent, or held by calls
├── NotYetPostedError            409  the call's charge is not posted, or there never was one
├── RefundTooLargeError          409  more than the call's charge less earlier refunds
└── LeaseOverdrawnError          500  more was spent of a lease than it held
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError


class BadPotError(InvalidRequestError):
    """The pot or the amount cannot be used."""

    code = "bad_pot"


class InsufficientBalanceError(MeterwayError):
    """The account is prepaid, and its balance does not cover the call."""

    status, code = 402, "insufficient_balance"


class InsufficientFundsError(MeterwayError):
    """What is to be taken is spent, or held by calls under way."""

    status, code = 409, "insufficient_funds"


class NotYetPostedError(MeterwayError):
    """The charge of the call is not posted yet, or there never was one."""

    status, code = 409, "not_yet_posted"
    retryable = True


class RefundTooLargeError(MeterwayError):
    """More is to be refunded than was charged and not refunded before."""

    status, code = 409, "refund_too_large"


class LeaseOverdrawnError(MeterwayError):
    """More was spent of a lease than it held: the books would break."""

    code = "lease_overdrawn"
