"""The table of channels."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from meterway.db.metadata import Id, Json, Millis, metadata

channels = Table(
    "channels",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("base_url", String(2048), nullable=False),
    Column("credentials", Text),
    Column("headers", Text),
    Column("models", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("prefix", String(64)),
    Column("timeouts", Json, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("real", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("deleted_at", Millis),
)

_live = channels.c.deleted_at.is_(None)
Index(
    "uq_channels_name",
    channels.c.name,
    unique=True,
    sqlite_where=_live,
    postgresql_where=_live,
)
