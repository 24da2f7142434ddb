"""What can go wrong with gifts.

MeterwayError
└── InvalidRequestError
    └── BadCreditError     400  no such credit can be given
"""

from meterway.kit.errors import InvalidRequestError


class BadCreditError(InvalidRequestError):
    """No such credit can be given."""

    code = "bad_credit"
