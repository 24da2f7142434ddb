"""The tables of the price book: tariffs with their dates, and multipliers."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, Table

from meterway.db.metadata import Id, Json, Millis, metadata

prices = Table(
    "prices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model", String(255), nullable=False),
    Column("effective_at", Millis, nullable=False),
    Column("tariff", Json, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("source", String(255), nullable=False),
    Column("created_at", Millis, nullable=False),
    Index("ix_prices_model", "model", "effective_at"),
)
"""Never changed: a new price is a new row, and the last one in effect counts.

`origin` is `seed` or `operator`; `source` names the page or package the figures come from.
"""

multipliers = Table(
    "multipliers",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("ppm", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)
"""`kind` is `model`, `tier` or `billing`; a million parts are the list price."""
