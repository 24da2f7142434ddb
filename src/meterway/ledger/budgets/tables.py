"""The tables of budgets and of the leases that workers hold of them."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from meterway.db.metadata import Id, metadata

budgets = Table(
    "budgets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("name", String(32), nullable=False),
    Column("available", BigInteger, nullable=False),
    Column("recall", BigInteger, nullable=False),
    UniqueConstraint("kind", "owner", "name"),
)
"""`recall` is how much somebody waits for; others give back what lies idle."""

leases = Table(
    "leases",
    metadata,
    Column("budget_id", Id, ForeignKey("budgets.id"), nullable=False),
    Column("journal_id", Id, ForeignKey("journals.id"), nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    PrimaryKeyConstraint("budget_id", "journal_id"),
)
"""What a worker may still spend, what it spent and is not posted yet included. `turn` numbers the
worker's own changes: one whose commit got lost looks here whether it happened."""
