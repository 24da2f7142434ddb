"""What can be done with users."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts import passwords, store
from meterway.accounts.errors import BadUserError, UserExistsError, UserNotFoundError
from meterway.accounts.tables import users
from meterway.accounts.types import NewUser, Tier, User
from meterway.db import versions

_EMAIL_LIMIT, _PASSWORD_LEAST, _PASSWORD_LIMIT = 254, 8, 1024


async def create(
    tx: AsyncConnection,
    new: NewUser,
    *,
    now: float,
    hashed: Callable[[str], str] = passwords.hashed,
) -> int:
    """Make a user and return its id; addresses are compared without regard to case.

    `hashed` turns the password into what is stored; it runs in a thread, for it takes its time.
    Raises `BadUserError` and `UserExistsError`.
    """
    email = _address(new.email)
    _check_end(new.tier, new.tier_expires_at)
    if not _PASSWORD_LEAST <= len(new.password) <= _PASSWORD_LIMIT:
        raise BadUserError(f"A password has at least {_PASSWORD_LEAST} characters.")
    password_hash = await asyncio.to_thread(hashed, new.password)
    try:
        async with tx.begin_nested():
            return await store.add(
                tx,
                email=email,
                password_hash=password_hash,
                rights=(new.is_admin, new.postpaid),
                now=now,
                membership=(new.tier, new.tier_expires_at),
                zero_retention=new.zero_retention,
            )
    except IntegrityError:
        raise UserExistsError(f"There is a user with the address {email} already.") from None


async def by_id(connection: AsyncConnection, user_id: int) -> User | None:
    """Return a user by its number."""
    return await store.one(connection, users.c.id == user_id)


async def by_email(connection: AsyncConnection, email: str) -> User:
    """Return the user with an address. Raises `UserNotFoundError`."""
    found = await store.one(connection, users.c.email == email.strip().casefold())
    if found is None:
        raise UserNotFoundError(
            f"There is no user with the address {email}; `meterway user list` shows all."
        )
    return found


async def every(connection: AsyncConnection) -> list[User]:
    """Return all users, oldest first."""
    return await store.every(connection)


async def set_disabled(tx: AsyncConnection, user_id: int, *, disabled: bool) -> None:
    """Shut a user out, or let it in again; its keys follow at once. Raises `UserNotFoundError`."""
    if not await store.set_disabled(tx, user_id, disabled=disabled):
        raise UserNotFoundError(f"There is no user with the number {user_id}.")
    await versions.bump(tx, versions.KEYS)


async def set_zero_retention(tx: AsyncConnection, user_id: int, *, on: bool) -> None:
    """Keep nothing a user says from now on, or what it asks to be kept; its keys follow at once.

    What was kept before stays until its time, or until the user deletes it. Raises
    `UserNotFoundError`.
    """
    if not await store.set_zero_retention(tx, user_id, on=on):
        raise UserNotFoundError(f"There is no user with the number {user_id}.")
    await versions.bump(tx, versions.KEYS)


async def set_tier(
    tx: AsyncConnection, user_id: int, tier: Tier, expires_at: float | None = None
) -> None:
    """Make a user a member of `tier` until `expires_at` (seconds), None being for ever.

    Every process follows within a second. Raises `BadUserError` and `UserNotFoundError`.
    """
    _check_end(tier, expires_at)
    if not await store.set_tier(tx, user_id, tier, expires_at):
        raise UserNotFoundError(f"There is no user with the number {user_id}.")
    await versions.bump(tx, versions.KEYS)


async def lock(tx: AsyncConnection, user_id: int) -> None:
    """Let nobody else who does the same go on before `tx` ends. Raises `UserNotFoundError`."""
    if not await store.lock(tx, user_id):
        raise UserNotFoundError(f"There is no user with the number {user_id}.")


def _check_end(tier: Tier, expires_at: float | None) -> None:
    if tier is Tier.NORMAL and expires_at is not None:
        raise BadUserError("The normal tier never ends; name VIP or PREMIUM, or no end.")


def _address(text: str) -> str:
    email = text.strip().casefold()
    name, at, host = email.rpartition("@")
    printable = email.isprintable() and " " not in email
    if not (name and at and host and printable and len(email) <= _EMAIL_LIMIT):
        raise BadUserError("That is not an e-mail address.")
    return email
