"""The table of keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    false,
)

from meterway.db.metadata import Id, Json, Millis, metadata

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("shown", String(32), nullable=False),
    Column("remark", String(255), nullable=False),
    Column("permissions", Json),
    Column("is_admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("expires_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("default_model", String(255)),
    Column("max_fee", BigInteger, nullable=False, server_default="0"),
    Column("used_fee", BigInteger, nullable=False, server_default="0"),
    Column("used_times", BigInteger, nullable=False, server_default="0"),
    Column("used_at", Millis),
    Column("deleted_at", Millis),
    Column("zero_retention", Boolean, nullable=False, server_default=false()),
)
