"""What can go wrong with a journal.

MeterwayError
├── UnavailableError
│   ├── JournalFullError     the disk has no room for one more call
│   └── JournalMovedError    somebody else posted the same part of a journal
└── JournalTakenError        there is a journal of that name already
"""

from meterway.kit.errors import MeterwayError, UnavailableError


class JournalFullError(UnavailableError):
    """The disk has no room for the record of one more call."""

    code = "journal_full"


class JournalMovedError(UnavailableError):
    """A journal is not posted up to where it was thought to be; it is to be read again."""

    code = "journal_moved"


class JournalTakenError(MeterwayError):
    """Every worker's life has a journal of its own, and this name is used."""

    status, code = 409, "journal_taken"
