"""What can go wrong with the books.

MeterwayError
└── InvalidRequestError
    └── BadEntryError      400  the entry does not add up, or moves nothing or too much
"""

from meterway.kit.errors import InvalidRequestError


class BadEntryError(InvalidRequestError):
    """The movement of money does not add up, moves nothing, or moves too much."""

    code = "bad_entry"
