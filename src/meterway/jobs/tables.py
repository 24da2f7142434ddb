"""The tables of jobs and of the events they tell.

Both go with the response they make: whoever deletes that, or lets it expire, deletes them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
)

from meterway.db.metadata import Millis, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("call_id", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "response_id",
        String(64),
        ForeignKey("responses.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("user_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("billing", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("claimed_by", String(64)),
    Column("cancel_requested", Boolean, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_event", BigInteger, nullable=False),
    Index("ix_jobs_state", "state", "user_id"),
)

response_events = Table(
    "response_events",
    metadata,
    Column(
        "response_id",
        String(64),
        ForeignKey("responses.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("seq", BigInteger, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("response_id", "seq"),
)
"""A row holds the events that were appended together; `seq` is the number of its last one."""
