"""The SQL of gifts."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Row, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.kit.money import Nanos
from meterway.ledger.gifts.tables import credits_
from meterway.ledger.gifts.types import Credit

_LEAVE = text('UPDATE credits SET "left" = :left WHERE id = :id')
_WITHOUT = text(
    """
    SELECT u.id FROM users u LEFT JOIN daily_gifts d ON d.user_id = u.id
    WHERE NOT u.disabled AND NOT u.postpaid AND (d.day IS NULL OR d.day < :day)
    ORDER BY u.id LIMIT :most
    """
)
_SERVE = text(
    "INSERT INTO daily_gifts (user_id, day) VALUES (:user_id, :day) "
    "ON CONFLICT (user_id) DO UPDATE SET day = excluded.day"
)


async def add(
    tx: AsyncConnection, user_id: int, billing: str, amount: Nanos, expires_at: float | None
) -> None:
    """Insert a credit."""
    end = None if expires_at is None else to_millis(expires_at)
    row = insert(credits_).values(user_id=user_id, billing=billing, left=amount, expires_at=end)
    await tx.execute(row)


async def of(connection: AsyncConnection, user_id: int, billing: str) -> list[Credit]:
    """Return a user's credits for a channel; the last to end first, what never ends before all."""
    query = (
        select(credits_)
        .where(credits_.c.user_id == user_id, credits_.c.billing == billing)
        .order_by(credits_.c.expires_at.is_not(None), credits_.c.expires_at.desc(), credits_.c.id)
    )
    return [_credit(row) for row in await connection.execute(query)]


async def of_user(connection: AsyncConnection, user_id: int) -> list[Credit]:
    """Return all credits of a user, in the order they were given."""
    query = select(credits_).where(credits_.c.user_id == user_id).order_by(credits_.c.id)
    return [_credit(row) for row in await connection.execute(query)]


async def ended(connection: AsyncConnection, now: float, most: int) -> list[tuple[int, str]]:
    """Return users and channels that have a credit whose time is over."""
    query = (
        select(credits_.c.user_id, credits_.c.billing)
        .where(credits_.c.expires_at <= to_millis(now))
        .distinct()
        .order_by(credits_.c.user_id, credits_.c.billing)
        .limit(most)
    )
    return [(row.user_id, row.billing) for row in await connection.execute(query)]


async def leave(tx: AsyncConnection, amounts: Mapping[int, Nanos]) -> None:
    """Set what is left of credits; those of which nothing is are deleted."""
    gone = [number for number, left in amounts.items() if not left]
    kept = [{"id": number, "left": left} for number, left in amounts.items() if left]
    if kept:
        await tx.execute(_LEAVE, kept)
    if gone:
        await tx.execute(delete(credits_).where(credits_.c.id.in_(gone)))


async def without_daily(connection: AsyncConnection, day: int, most: int) -> list[int]:
    """Return prepaid users who had no free money that day; their table is another slice's."""
    rows = await connection.execute(_WITHOUT, {"day": day, "most": most})
    return list(rows.scalars())


async def serve(tx: AsyncConnection, user_ids: Sequence[int], day: int) -> None:
    """Note that users had a day's free money."""
    await tx.execute(_SERVE, [{"user_id": user_id, "day": day} for user_id in user_ids])


def _credit(row: Row[*tuple[object, ...]]) -> Credit:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    end = facts[credits_.c.expires_at]
    return Credit(
        id=facts[credits_.c.id],
        user_id=facts[credits_.c.user_id],
        billing=facts[credits_.c.billing],
        left=facts[credits_.c.left],
        expires_at=None if end is None else to_seconds(end),
    )
