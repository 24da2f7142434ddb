"""What can go wrong with a journal.

MeterwayError
├── UnavailableError
│   ├── JournalFullError     the disk has no room for one more call
│   └── JournalMovedError    somebody else posted the same part of a journal
└── JournalTakenError        there is a journal of that name already
"""

from typing import Self

from meterway.kit.errors import MeterwayError, UnavailableError

_RETRY_AFTER = 5.0


class JournalFullError(UnavailableError):
    """The disk has no room for the record of one more call."""

    code = "journal_full"

    @classmethod
    def of(cls, error: OSError) -> Self:
        """Return what a disk's refusal means to a call."""
        return cls(
            f"There is no room to record calls: {error.strerror or error}; free space on the disk "
            "of the data folder.",
            retry_after=_RETRY_AFTER,
        )


class JournalMovedError(UnavailableError):
    """A journal is not posted up to where it was thought to be; it is to be read again."""

    code = "journal_moved"


class JournalTakenError(MeterwayError):
    """Every worker's life has a journal of its own, and this name is used."""

    status, code = 409, "journal_taken"
