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
    Column("digest", LargeBinary, nullable=False),
)
"""Never changed. Each digest covers the one before, the charges of its batch, and the entries
after the last seal's up to `last_entry`."""
