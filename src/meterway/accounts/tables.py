"""The table of users."""

from sqlalchemy import Boolean, Column, String, Table, false

from meterway.db.metadata import Id, Millis, metadata

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("postpaid", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("tier", String(16), nullable=False, server_default="normal"),
    Column("tier_expires_at", Millis),
    Column("zero_retention", Boolean, nullable=False, server_default=false()),
)
