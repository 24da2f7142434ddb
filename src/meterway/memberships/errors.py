"""What can go wrong when membership is bought.

MeterwayError
├── InvalidRequestError
│   └── TierNotSoldError        400  nobody set a price for the tier
├── OtherMembershipError        409  another tier is in effect, or one without an end
└── BalanceHeldError            409  running calls hold what is to be paid with
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError


class TierNotSoldError(InvalidRequestError):
    """The tier is not for sale."""

    code = "tier_not_sold"


class OtherMembershipError(MeterwayError):
    """Another membership is in effect, or one that never ends."""

    status, code = 409, "other_membership"


class BalanceHeldError(MeterwayError):
    """Running calls hold a part of the balance that is to be paid with."""

    status, code = 409, "balance_held"
    retryable = True
