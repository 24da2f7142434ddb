"""The SQL of users."""

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts.tables import users
from meterway.accounts.types import User
from meterway.db.metadata import to_millis, to_seconds


async def add(
    tx: AsyncConnection, *, email: str, password_hash: str, rights: tuple[bool, bool], now: float
) -> int:
    """Insert a user with `rights` (admin, postpaid); return its id."""
    is_admin, postpaid = rights
    row = insert(users).values(
        email=email,
        password_hash=password_hash,
        is_admin=is_admin,
        postpaid=postpaid,
        disabled=False,
        created_at=to_millis(now),
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


def _user(row: Row[*tuple[object, ...]]) -> User:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    return User(
        id=facts[users.c.id],
        email=facts[users.c.email],
        is_admin=facts[users.c.is_admin],
        postpaid=facts[users.c.postpaid],
        disabled=facts[users.c.disabled],
        created_at=to_seconds(facts[users.c.created_at]),
    )
