"""What can go wrong with the database beyond passing faults, which are `UnavailableError`.

MeterwayError
├── DatabaseAddressError     the URL cannot be understood, or its driver is missing
└── SchemaError              the tables are older or newer than this program
"""

from meterway.kit.errors import MeterwayError


class DatabaseAddressError(MeterwayError):
    """The database URL names nothing that can be opened."""

    code = "bad_database_url"


class SchemaError(MeterwayError):
    """The database's tables do not fit this version of the program."""

    status, code = 503, "schema_mismatch"
