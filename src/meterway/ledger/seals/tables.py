"""The table of seals."""

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from meterway.db.metadata import Id, Millis, metadata

seals = Table(
    "seals",
    metadata,
    Column("batch", Id, primary_key=True, autoincrement=False),
    Column("at", Millis, nullable=False),
    Column("charges", BigInteger, nullable=False),
    Column("last_entry", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
"""Never changed. Each digest covers the one before, the row, and the entries after the last seal's
up to `last_entry`. Of a batch `content` is the digest of its charges; of an erasure, whose number
of `charges` is below zero, it tells what was erased and what stayed."""
