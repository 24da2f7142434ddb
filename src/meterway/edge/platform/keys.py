"""API keys over the API: POST `/api/v1/user/admin/{new,update,get,del}-api-token(s)`.

For admin keys alone, and about their own user's keys alone. That a key is an admin key can be
seen here, never said: only the console and operators make one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.auth.service import grantable
from meterway.auth.types import Principal
from meterway.catalog.types import Model
from meterway.db.engine import reading, transaction
from meterway.edge.platform.envelope import Door, Endpoint, NotAdminKeyError, Rule
from meterway.edge.platform.forms import BadFieldError, Fields
from meterway.edge.server import Route
from meterway.keys import service as keys
from meterway.keys.types import Changes, Key, NewKey
from meterway.kit import money
from meterway.kit.clock import Clock
from meterway.kit.moments import shown
from meterway.limits.types import Kind

_BASE = "/api/v1/user/admin/"
_CREATE = Rule(admin=True, pace=Kind.CREATE_KEY)
_UPDATE = Rule(admin=True, pace=Kind.UPDATE_KEY)
_LIST = Rule(admin=True, pace=Kind.LIST_KEYS)
_DELETE = Rule(admin=True, pace=Kind.DELETE_KEY)


class KeyDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of keys work with; `models` are those a permission may name."""

    engine: AsyncEngine
    clock: Clock
    pepper: bytes
    models: Callable[[], Iterable[Model]]
    units_per_usd: int


def routes(door: Door, desk: KeyDesk) -> Sequence[Route]:
    """Return the routes of keys."""
    office = _Office(desk)
    create = Endpoint(door, _CREATE, office.create)
    delete = Endpoint(door, _DELETE, office.delete)
    handlers = {
        "new-api-token": create,
        "create-api-token": create,
        "update-api-token": Endpoint(door, _UPDATE, office.update),
        "get-api-tokens": Endpoint(door, _LIST, office.every),
        "del-api-token": delete,
        "delete-api-token": delete,
    }
    return [Route("POST", _BASE + name, handler) for name, handler in handlers.items()]


class _Office:
    """What each endpoint does."""

    def __init__(self, desk: KeyDesk) -> None:
        self._desk = desk

    async def create(self, caller: Principal, fields: Fields) -> str:
        """Make a key and return its text."""
        desk = self._desk
        fields.require("expired_at", "max_fee")
        _leave_rights(fields, is_admin=False)
        expires_at, now = fields.moment("expired_at"), desk.clock.now()
        if expires_at is not None and expires_at <= now:
            raise BadFieldError("expired_at", "lies in the past; the key would never work")
        new = NewKey(
            user_id=caller.user_id,
            remark=fields.text("remark") or "",
            permissions=fields.names("permissions") or frozenset(),
            expires_at=expires_at,
            max_fee=fields.amount("max_fee", desk.units_per_usd) or 0,
        )
        async with transaction(desk.engine) as tx:
            known = await self._known(tx)
            _, token = await keys.create(tx, desk.pepper, new, known=known, now=now)
        return token

    async def update(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Change what is named of a key; return its facts."""
        desk = self._desk
        fields.require("key")
        changes = _changes(fields, desk.units_per_usd)
        async with transaction(desk.engine) as tx:
            found = await keys.owned(tx, desk.pepper, caller.user_id, fields.text("key") or "")
            _leave_rights(fields, is_admin=found.is_admin)
            known = await self._known(tx)
            await keys.update(tx, found.id, changes, known=known)
            changed = await keys.owned(tx, desk.pepper, caller.user_id, str(found.id))
        return _facts(changed, desk.units_per_usd)

    async def every(self, caller: Principal, fields: Fields) -> list[dict[str, Any]]:
        """Return the facts of all keys of the caller's user, oldest first."""
        del fields
        async with reading(self._desk.engine) as connection:
            found = await keys.of_user(connection, caller.user_id)
        return [_facts(key, self._desk.units_per_usd) for key in found]

    async def delete(self, caller: Principal, fields: Fields) -> None:
        """Delete a key."""
        desk = self._desk
        fields.require("key")
        async with transaction(desk.engine) as tx:
            found = await keys.owned(tx, desk.pepper, caller.user_id, fields.text("key") or "")
            await keys.delete(tx, found.id, now=desk.clock.now())

    async def _known(self, connection: AsyncConnection) -> frozenset[str]:
        return await grantable(connection, self._desk.models())


def _leave_rights(fields: Fields, *, is_admin: bool) -> None:
    """Refuse to make a key, or to stop it being, an admin key; to say what it is does no harm."""
    asked = fields.flag("is_admin")
    if asked is not None and asked is not is_admin:
        raise NotAdminKeyError


def _changes(fields: Fields, units_per_usd: int) -> Changes:
    given: dict[str, Any] = {
        "remark": fields.text("remark"),
        "permissions": fields.names("permissions"),
        "expires_at": fields.moment("expired_at"),
        "max_fee": fields.amount("max_fee", units_per_usd),
        "disabled": fields.flag("is_disabled"),
    }
    return Changes(**{name: value for name, value in given.items() if value is not None})


def _facts(key: Key, units_per_usd: int) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "key": key.shown,
        "user_id": str(key.user_id),
        "remark": key.remark,
        "created_at": shown(key.created_at),
        "used_at": shown(key.used_at),
        "expired_at": shown(key.expires_at),
        "used_times": key.used_times,
        "used_fee": money.units(key.used_fee, units_per_usd),
        "max_fee": money.units(key.max_fee, units_per_usd),
        "permissions": [] if key.permissions is None else sorted(key.permissions),
        "is_admin": key.is_admin,
        "is_disabled": key.disabled,
    }
