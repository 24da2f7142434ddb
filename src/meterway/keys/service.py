"""What can be done with API keys."""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.accounts import service as accounts
from meterway.db import versions
from meterway.db.metadata import to_millis
from meterway.keys import store
from meterway.keys.errors import BadRemarkError, KeyNotFoundError, TooManyKeysError
from meterway.keys.permissions import checked
from meterway.keys.tables import keys
from meterway.keys.types import Changes, Key, NewKey, masked
from meterway.kit.crypto import key_hash
from meterway.kit.ids import random_text
from meterway.kit.money import Nanos
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.types import Budget, BudgetKind

PREFIX, LENGTH = "sk-", 48
KEYS_PER_USER = 5000
_REMARK_LIMIT = 255
_ID_DIGITS = 18  # any number of so many digits fits a row's id


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

    `known` are the names a permission may have: models, families and capabilities. A key with a
    `max_fee` gets a budget. Raises `UnknownPermissionError`, `BadRemarkError`,
    `TooManyKeysError`, and `UserNotFoundError`.
    """
    permissions = checked(new.permissions, known)
    values = {
        "remark": _remark(new.remark),
        "permissions": None if permissions is None else sorted(permissions),
        "is_admin": new.is_admin,
        "disabled": False,
        "expires_at": None if new.expires_at is None else to_millis(new.expires_at),
        "created_at": to_millis(now),
        "default_model": new.default_model,
        "max_fee": new.max_fee,
        "zero_retention": new.zero_retention,
    }
    await accounts.lock(tx, new.user_id)  # two may not both be the last that fits
    if await store.count(tx, new.user_id) >= KEYS_PER_USER:
        raise TooManyKeysError(f"A user may have {KEYS_PER_USER} keys; delete some first.")
    token = PREFIX + random_text(LENGTH)
    identity = {
        "user_id": new.user_id,
        "hash": key_hash(pepper, token),
        "shown": masked(token),
    }
    key_id = await store.add(tx, values | identity)
    await _cap(tx, key_id, new.max_fee, 0)
    return key_id, token


async def find(connection: AsyncConnection, pepper: bytes, token: str) -> Key | None:
    """Return the key with this text, also one that is disabled, expired or deleted."""
    return await store.one(connection, keys.c.hash == key_hash(pepper, token))


async def by_id(connection: AsyncConnection, key_id: int) -> Key | None:
    """Return a key by its number, also one that is disabled, expired or deleted."""
    return await store.one(connection, keys.c.id == key_id)


async def named(connection: AsyncConnection, pepper: bytes, name: str) -> Key:
    """Return the key an operator names by its number or its text. Raises `KeyNotFoundError`."""
    found = await _by_name(connection, pepper, name)
    if found is None or found.deleted_at is not None:
        raise KeyNotFoundError("There is no such key; `meterway key list` shows all.")
    return found


async def owned(
    connection: AsyncConnection, pepper: bytes, user_id: int, name: str, *, deleted: bool = False
) -> Key:
    """Return a user's own key by its number or its text, with `deleted` also such a one.

    Raises `KeyNotFoundError`, which says the same of a key of somebody else.
    """
    found = await _by_name(connection, pepper, name)
    gone = found is None or (found.deleted_at is not None and not deleted)
    if found is None or gone or found.user_id != user_id:
        raise KeyNotFoundError("You have no such key; name it by its text or its id.", param="key")
    return found


async def of_user(
    connection: AsyncConnection, user_id: int | None = None, *, deleted: bool = False
) -> list[Key]:
    """Return the keys of a user, or of all, oldest first; with `deleted` also those."""
    return await store.of_user(connection, user_id, deleted=deleted)


async def update(
    tx: AsyncConnection, key_id: int, changes: Changes, *, known: Collection[str]
) -> None:
    """Change a key; every process follows within a second.

    Of a new `max_fee` what the key spent so far is gone already. Raises `KeyNotFoundError`, also
    for a deleted key, `UnknownPermissionError` and `BadRemarkError`.
    """
    values = _values(changes, known)
    found = await store.locked(tx, key_id)
    if found is None or found.deleted_at is not None:
        raise _missing(key_id)
    if values:
        await store.change(tx, key_id, values)
    if not isinstance(changes.max_fee, UnsetType):
        await _cap(tx, key_id, changes.max_fee, found.used_fee)
    await versions.bump(tx, versions.KEYS)


async def delete(tx: AsyncConnection, key_id: int, *, now: float) -> None:
    """Make a key useless for ever, keeping its row; every process follows within a second.

    Raises `KeyNotFoundError`, also for a key that is deleted already.
    """
    found = await store.locked(tx, key_id)
    if found is None or found.deleted_at is not None:
        raise _missing(key_id)
    await store.change(tx, key_id, {"disabled": True, "deleted_at": to_millis(now)})
    await versions.bump(tx, versions.KEYS)


async def count_use(tx: AsyncConnection, uses: Mapping[int, tuple[int, Nanos, float]]) -> None:
    """Add what ended calls used, by key id, to the keys' counters.

    A use is how many calls there were, what they cost, and when the last ended, in seconds.

    Nobody who remembers keys needs to know, so no version moves. Rows are taken in the order of
    their ids, which is how two writers do not wait for each other.
    """
    rows = [
        {"key": key_id, "calls": calls, "fee": fee, "last": to_millis(last_at)}
        for key_id, (calls, fee, last_at) in sorted(uses.items())
    ]
    await store.count_use(tx, rows)


def _values(changes: Changes, known: Collection[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in ("default_model", "disabled", "max_fee", "zero_retention"):
        value = getattr(changes, column)
        if value is not UNSET:
            values[column] = value
    if not isinstance(changes.remark, UnsetType):
        values["remark"] = _remark(changes.remark)
    if not isinstance(changes.permissions, UnsetType):
        permissions = checked(changes.permissions, known)
        values["permissions"] = None if permissions is None else sorted(permissions)
    if not isinstance(changes.expires_at, UnsetType):
        moment = changes.expires_at
        values["expires_at"] = None if moment is None else to_millis(moment)
    return values


async def _cap(tx: AsyncConnection, key_id: int, cap: Nanos, used: Nanos) -> None:
    """Make the key's budget; a key without a bound is asked for none.

    Its row is locked by then, as the settler's counting locks it: what was used and what is
    leased are of one moment.
    """
    if cap:
        await budgets.set_cap(tx, Budget(BudgetKind.KEY, key_id), cap, used)


async def _by_name(connection: AsyncConnection, pepper: bytes, name: str) -> Key | None:
    if name.isascii() and name.isdecimal() and len(name) <= _ID_DIGITS:
        return await by_id(connection, int(name))
    return await find(connection, pepper, name)


def _remark(text: str) -> str:
    if len(text) > _REMARK_LIMIT or not all(c.isprintable() or c.isspace() for c in text):
        raise BadRemarkError(
            f"A remark has at most {_REMARK_LIMIT} characters, and none that controls.",
            param="remark",
        )
    return text


def _missing(key_id: int) -> KeyNotFoundError:
    return KeyNotFoundError(f"There is no key with the number {key_id}.")
