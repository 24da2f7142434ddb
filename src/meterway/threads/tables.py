"""The tables of what is kept of what was said."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from meterway.db.metadata import Json, Millis, metadata

responses = Table(
    "responses",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("key_id", BigInteger, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("previous_id", String(64)),
    Column("conversation_id", String(64)),
    Column("status", String(16), nullable=False),
    Column("background", Boolean, nullable=False),
    Column("model", String(255), nullable=False),
    Column("input", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("output", LargeBinary, nullable=False),
    Column("expires_at", Millis, index=True),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("created_at", Millis, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("next_position", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
)
"""`size` is the sum of the items' bytes, so that a long one is known before it is read."""

conversation_items = Table(
    "conversation_items",
    metadata,
    Column(
        "conversation_id",
        String(64),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("position", BigInteger, nullable=False),
    Column("item_id", String(255), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("conversation_id", "position"),
    UniqueConstraint("conversation_id", "item_id"),
)

stored_completions = Table(
    "stored_completions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("model", String(255), nullable=False),
    Column("messages", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", Millis, index=True),
    Index("ix_stored_completions_user_id", "user_id", "created_at", "id"),
)

completion_metadata = Table(
    "completion_metadata",
    metadata,
    Column(
        "completion_id",
        String(64),
        ForeignKey("stored_completions.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("name", String(64), nullable=False),
    Column("value", String(512), nullable=False),
    PrimaryKeyConstraint("completion_id", "name"),
)
"""One row per pair, so that a list can be filtered by one."""
