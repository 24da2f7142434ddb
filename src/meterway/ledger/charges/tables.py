"""The tables of charges: one row a call, the names it uses, and sums by day."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
)

from meterway.db.metadata import Id, metadata

names = Table(
    "names",
    metadata,
    Column("id", Id, primary_key=True),
    Column("text", String(255), nullable=False, unique=True),
)
"""Texts that many charges repeat."""

charges = Table(
    "charges",
    metadata,
    Column("call_id", Id, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("model_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Index("ix_charges_user_id", "user_id", "call_id", "model_id", "key_id"),
)
"""Never changed, erased only with their time. price = free + paid + credit + due + overrun.

The index ends in what pages are filtered by: so a user's calls are passed over without being read.
"""

usage_days = Table(
    "usage_days",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("model_id", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "day", "key_id", "model_id"),
)
"""Sums by UTC day (whole days since the epoch); they outlive the charges."""
