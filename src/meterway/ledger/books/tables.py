"""The tables of the books: accounts, entries and their postings."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from meterway.db.metadata import Id, Millis, metadata

book_accounts = Table(
    "book_accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("name", String(64), nullable=False),
    Column("balance", BigInteger, nullable=False),
    UniqueConstraint("kind", "owner", "name"),
)
"""`owner` is a user, an app or a channel by number, 0 for the house. `balance` is the sum of all
the account's postings and of its legs in charges; it moves only with them."""

entries = Table(
    "entries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Millis, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("user_id", BigInteger),
    Column("reference", String(96), unique=True),
    Column("reverses", BigInteger),
    Column("reason", String(255), nullable=False),
    Index("ix_entries_user_id", "user_id"),
    Index("ix_entries_reverses", "reverses"),
)
"""Never changed. `reference` makes an entry happen once; `reverses` names the call refunded."""

postings = Table(
    "postings",
    metadata,
    Column("entry_id", Id, ForeignKey("entries.id"), nullable=False),
    Column("account_id", Id, ForeignKey("book_accounts.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("entry_id", "account_id"),
)
"""Never changed. An entry's amounts add up to nothing."""
