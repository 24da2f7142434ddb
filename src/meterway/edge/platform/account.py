"""The caller's account: POST `/api/v1/user/admin/{balance,get-membership-expire-date}`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts import service as accounts
from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.platform.envelope import ADMIN, Door, Endpoint
from meterway.edge.platform.forms import Fields
from meterway.edge.server import Route
from meterway.kit import money
from meterway.kit.clock import Clock
from meterway.kit.errors import NotFoundError
from meterway.kit.moments import shown
from meterway.ledger.books.types import Pots

BALANCE_PATH = "/api/v1/user/admin/balance"
MEMBERSHIP_PATH = "/api/v1/user/admin/get-membership-expire-date"


class ReadPots(Protocol):
    """Reads what users have; a user who never had anything may be missing."""

    async def __call__(
        self, connection: AsyncConnection, user_ids: Collection[int], /
    ) -> Mapping[int, Pots]:
        """Return the pots of each user."""


class AccountDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of the account work with."""

    engine: AsyncEngine
    clock: Clock
    pots: ReadPots
    units_per_usd: int


def routes(door: Door, desk: AccountDesk) -> Sequence[Route]:
    """Return the routes of the account."""
    office = _Office(desk)
    return [
        Route("POST", BALANCE_PATH, Endpoint(door, ADMIN, office.balance)),
        Route("POST", MEMBERSHIP_PATH, Endpoint(door, ADMIN, office.membership)),
    ]


class _Office:
    """What each endpoint does."""

    def __init__(self, desk: AccountDesk) -> None:
        self._desk = desk

    async def balance(self, caller: Principal, fields: Fields) -> dict[str, str]:
        """Return both pots in units; what a postpaid user owes makes the balance negative."""
        del fields
        desk = self._desk
        async with reading(desk.engine) as connection:
            pots = (await desk.pots(connection, [caller.user_id])).get(caller.user_id, Pots())
        return {
            "balance": money.units(pots.paid + pots.due, desk.units_per_usd),
            "free_balance": money.units(pots.free, desk.units_per_usd),
        }

    async def membership(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Return the tier in effect and its end, which is null where there is none."""
        del fields
        now = self._desk.clock.now()
        async with reading(self._desk.engine) as connection:
            user = await accounts.by_id(connection, caller.user_id)
        if user is None:
            raise NotFoundError("There is no such user any more.")
        return {"tier": user.tier_at(now), "expired_at": shown(user.tier_expires_at)}
