"""The tables of gifts."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from meterway.db.metadata import Id, Millis, metadata

credits_ = Table(
    "credits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", BigInteger, nullable=False),
    Column("billing", String(32), nullable=False),
    Column("left", BigInteger, nullable=False),
    Column("expires_at", Millis),
    Index("ix_credits_user_id", "user_id", "billing"),
    Index("ix_credits_expires_at", "expires_at"),
)
"""What was given for a billing channel and may be left of it; gone once nothing is. Calls do not
touch it: what they spent is taken off when somebody looks, first of what ends first."""

daily_gifts = Table(
    "daily_gifts",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, nullable=False),
)
"""The last UTC day (whole days since the epoch) whose free money a user had."""
