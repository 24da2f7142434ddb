"""The SQL of users."""

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts.tables import users
from meterway.accounts.types import Tier, User
from meterway.db.metadata import to_millis, to_seconds


async def add(  # noqa: PLR0913 - the columns of a user, in their groups
    tx: AsyncConnection,
    *,
    email: str,
    password_hash: str,
    rights: tuple[bool, bool],
    now: float,
    membership: tuple[Tier, float | None] = (Tier.NORMAL, None),
    zero_retention: bool = False,
) -> int:
    """Insert a user with `rights` (admin, postpaid) and a tier with its end; return its id."""
    is_admin, postpaid = rights
    row = insert(users).values(
        email=email,
        password_hash=password_hash,
        is_admin=is_admin,
        postpaid=postpaid,
        disabled=False,
        created_at=to_millis(now),
        zero_retention=zero_retention,
        **_membership(*membership),
    )
    added: int = (await tx.execute(row.returning(users.c.id))).scalar_one()
    return added


async def one(connection: AsyncConnection, condition: ColumnElement[bool]) -> User | None:
    """Return the user a condition on unique columns names."""
    row = (await connection.execute(select(users).where(condition))).one_or_none()
    return None if row is None else _user(row)


async def every(connection: AsyncConnection) -> list[User]:
    """Return all users, oldest first."""
    return [_user(row) for row in await connection.execute(select(users).order_by(users.c.id))]


async def set_disabled(tx: AsyncConnection, user_id: int, *, disabled: bool) -> bool:
    """Change whether a user may do anything; False where there is none."""
    change = update(users).where(users.c.id == user_id).values(disabled=disabled)
    return (await tx.execute(change)).rowcount == 1


async def set_zero_retention(tx: AsyncConnection, user_id: int, *, on: bool) -> bool:
    """Change whether nothing a user says is kept; False where there is no such user."""
    change = update(users).where(users.c.id == user_id).values(zero_retention=on)
    return (await tx.execute(change)).rowcount == 1


async def set_tier(tx: AsyncConnection, user_id: int, tier: Tier, expires_at: float | None) -> bool:
    """Change a user's tier and its end; False where there is no such user."""
    values = _membership(tier, expires_at)
    return (
        await tx.execute(update(users).where(users.c.id == user_id).values(values))
    ).rowcount == 1


async def lock(tx: AsyncConnection, user_id: int) -> bool:
    """Keep other writers from this user's row until the end; False where there is none."""
    row = select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True)
    return (await tx.execute(row)).one_or_none() is not None


def _membership(tier: Tier, expires_at: float | None) -> dict[str, str | int | None]:
    end = None if expires_at is None else to_millis(expires_at)
    return {"tier": tier.value, "tier_expires_at": end}


def _user(row: Row[*tuple[object, ...]]) -> User:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    tier_end = facts[users.c.tier_expires_at]
    return User(
        id=facts[users.c.id],
        email=facts[users.c.email],
        is_admin=facts[users.c.is_admin],
        postpaid=facts[users.c.postpaid],
        disabled=facts[users.c.disabled],
        created_at=to_seconds(facts[users.c.created_at]),
        tier=Tier(facts[users.c.tier]),
        tier_expires_at=None if tier_end is None else to_seconds(tier_end),
        zero_retention=facts[users.c.zero_retention],
    )
