"""The one row that says: this database was initialised, with that secret file."""

from sqlalchemy import CheckConstraint, Column, Integer, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import Millis, metadata, to_millis

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("secret_fingerprint", String(32), nullable=False),
    Column("created_at", Millis, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
)


async def fingerprint(connection: AsyncConnection) -> str | None:
    """Return the name of the secret file the database belongs to; None before the first start."""
    found = await connection.execute(select(installation.c.secret_fingerprint))
    return found.scalar_one_or_none()


async def claim(tx: AsyncConnection, secret_fingerprint: str, now: float) -> None:
    """Record that the database is initialised; `now` in seconds since the epoch.

    Raises SQLAlchemy's `IntegrityError` where somebody was faster.
    """
    await tx.execute(
        insert(installation).values(
            id=1, secret_fingerprint=secret_fingerprint, created_at=to_millis(now)
        )
    )
