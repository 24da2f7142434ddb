"""The SQL of redemption codes."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.ledger.books.types import Kind
from meterway.ledger.codes.tables import codes
from meterway.ledger.codes.types import Code


async def add(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert codes."""
    await tx.execute(insert(codes), rows)


async def claim(tx: AsyncConnection, hashed: bytes, user_id: int, now: float) -> Code | None:
    """Mark a code as used by a user; None where it is not there, used, or expired."""
    moment = to_millis(now)
    change = (
        update(codes)
        .where(codes.c.hash == hashed, codes.c.used_by.is_(None))
        .where(or_(codes.c.expires_at.is_(None), codes.c.expires_at > moment))
        .values(used_by=user_id, used_at=moment)
    )
    row = (await tx.execute(change.returning(*codes.c))).one_or_none()
    return None if row is None else _code(row)


async def one(connection: AsyncConnection, hashed: bytes) -> Code | None:
    """Return a code by its hash."""
    row = (await connection.execute(select(codes).where(codes.c.hash == hashed))).one_or_none()
    return None if row is None else _code(row)


async def every(connection: AsyncConnection) -> list[Code]:
    """Return all codes, oldest first."""
    return [_code(row) for row in await connection.execute(select(codes).order_by(codes.c.id))]


def _code(row: Row[*tuple[object, ...]]) -> Code:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    expires_at, used_at = facts[codes.c.expires_at], facts[codes.c.used_at]
    return Code(
        id=facts[codes.c.id],
        amount=facts[codes.c.amount],
        pot=Kind(facts[codes.c.pot]),
        remark=facts[codes.c.remark],
        created_at=to_seconds(facts[codes.c.created_at]),
        expires_at=None if expires_at is None else to_seconds(expires_at),
        used_by=facts[codes.c.used_by],
        used_at=None if used_at is None else to_seconds(used_at),
    )
