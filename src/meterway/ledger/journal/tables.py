"""The table of journals: where each lies, and how far it is posted."""

from sqlalchemy import BigInteger, Column, String, Table

from meterway.db.metadata import Id, Millis, metadata

journals = Table(
    "journals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("place", String(64), nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("opened_at", Millis, nullable=False),
    Column("closed_at", Millis),
)
"""`place` names the folder of journals, which one machine reaches; `segment` and `position` say
up to where everything is posted. A closed journal holds no lease."""
