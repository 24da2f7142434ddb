"""What can be done with API keys."""

from collections.abc import Collection
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import versions
from meterway.db.metadata import to_millis
from meterway.keys import store
from meterway.keys.errors import KeyNotFoundError, TooManyKeysError
from meterway.keys.permissions import checked
from meterway.keys.tables import keys
from meterway.keys.types import Changes, Key, NewKey, masked
from meterway.kit.crypto import key_hash
from meterway.kit.ids import random_text

PREFIX, LENGTH = "sk-", 48
KEYS_PER_USER = 5000


def has_form(token: str) -> bool:
    """Say whether a token looks like one of our keys: `sk-` and 48 letters and digits."""
    body = token.removeprefix(PREFIX)
    return len(token) == len(PREFIX) + LENGTH == len(PREFIX) + len(body) and (
        body.isascii() and body.isalnum()
    )


async def create(
    tx: AsyncConnection, pepper: bytes, new: NewKey, *, known: Collection[str], now: float
) -> tuple[int, str]:
    """Make a key; return its id and its text, which nobody can ever read again.

    `known` are the names a permission may have: models, families and capabilities.
    Raises `UnknownPermissionError` and `TooManyKeysError`.
    """
    permissions = checked(new.permissions, known)
    if await store.count(tx, new.user_id) >= KEYS_PER_USER:
        raise TooManyKeysError(f"A user may have {KEYS_PER_USER} keys; delete some first.")
    token = PREFIX + random_text(LENGTH)
    key_id = await store.add(
        tx,
        {
            "user_id": new.user_id,
            "hash": key_hash(pepper, token),
            "shown": masked(token),
            "remark": new.remark,
            "permissions": None if permissions is None else sorted(permissions),
            "is_admin": new.is_admin,
            "disabled": False,
            "expires_at": None if new.expires_at is None else to_millis(new.expires_at),
            "created_at": to_millis(now),
            "default_model": new.default_model,
        },
    )
    return key_id, token


async def find(connection: AsyncConnection, pepper: bytes, token: str) -> Key | None:
    """Return the key with this text, also one that is disabled or expired."""
    return await store.one(connection, keys.c.hash == key_hash(pepper, token))


async def named(connection: AsyncConnection, pepper: bytes, name: str) -> Key:
    """Return the key an operator names by its number or its text. Raises `KeyNotFoundError`."""
    if name.isascii() and name.isdecimal():
        found = await store.one(connection, keys.c.id == int(name))
    else:
        found = await find(connection, pepper, name)
    if found is None:
        raise KeyNotFoundError("There is no such key; `meterway key list` shows all.")
    return found


async def of_user(connection: AsyncConnection, user_id: int | None = None) -> list[Key]:
    """Return the keys of a user, or of all, oldest first."""
    return await store.of_user(connection, user_id)


async def update(
    tx: AsyncConnection, key_id: int, changes: Changes, *, known: Collection[str]
) -> None:
    """Change a key; every process follows within a second.

    Whether it was revoked is no fact to change: that is for ever. Raises `KeyNotFoundError` and
    `UnknownPermissionError`.
    """
    values: dict[str, Any] = {}
    for column in ("remark", "default_model"):
        value = getattr(changes, column)
        if value is not UNSET:
            values[column] = value
    if not isinstance(changes.permissions, UnsetType):
        permissions = checked(changes.permissions, known)
        values["permissions"] = None if permissions is None else sorted(permissions)
    if not isinstance(changes.expires_at, UnsetType):
        moment = changes.expires_at
        values["expires_at"] = None if moment is None else to_millis(moment)
    if values and not await store.change(tx, key_id, values):
        raise _missing(key_id)
    await versions.bump(tx, versions.KEYS)


async def revoke(tx: AsyncConnection, key_id: int) -> None:
    """Make a key useless for ever, keeping its row. Raises `KeyNotFoundError`."""
    if not await store.change(tx, key_id, {"disabled": True}):
        raise _missing(key_id)
    await versions.bump(tx, versions.KEYS)


def _missing(key_id: int) -> KeyNotFoundError:
    return KeyNotFoundError(f"There is no key with the number {key_id}.")
