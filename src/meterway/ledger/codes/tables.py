"""The table of redemption codes."""

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from meterway.db.metadata import Id, Millis, metadata

codes = Table(
    "codes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("amount", BigInteger, nullable=False),
    Column("pot", String(16), nullable=False),
    Column("remark", String(255), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis),
    Column("used_by", BigInteger),
    Column("used_at", Millis),
)
"""Texts are kept as keyed hashes, as those of keys are."""
