"""The table of replies kept for repeated requests."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table

from meterway.db.metadata import Millis, metadata

repeatable_replies = Table(
    "repeatable_replies",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("name_hash", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("holder", LargeBinary),
    Column("reply", LargeBinary),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    PrimaryKeyConstraint("user_id", "name_hash"),
    Index("ix_repeatable_replies_expires_at", "expires_at"),
)
"""`fingerprint` is of route and body; `holder` says who serves the request while it runs, and
`reply` is sealed once it ended."""
