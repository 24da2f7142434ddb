"""Buying membership and redeeming codes: POST `/api/v1/user/{membership/buy,redeem}`.

Both paths and their fields are ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts.types import Tier
from meterway.auth.types import Principal
from meterway.db.engine import durable_transaction
from meterway.edge.platform.account import ReadPots
from meterway.edge.platform.envelope import Door, Endpoint, Rule
from meterway.edge.platform.forms import BadFieldError, Fields
from meterway.edge.server import Route
from meterway.kit import money
from meterway.kit.clock import Clock
from meterway.kit.moments import shown
from meterway.kit.money import Nanos
from meterway.ledger.books.types import Pots
from meterway.ledger.codes import service as codes
from meterway.limits.types import Kind
from meterway.memberships import service as memberships

BUY_PATH: Final = "/api/v1/user/membership/buy"
REDEEM_PATH: Final = "/api/v1/user/redeem"
_RULE = Rule(admin=True, pace=Kind.PURCHASE)
_LONGEST_CODE = 100


class PurchaseDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints work with; `prices` are those of a month, by tiers that are sold."""

    engine: AsyncEngine
    clock: Clock
    pepper: bytes
    pots: ReadPots
    prices: Mapping[Tier, Nanos]
    units_per_usd: int


def routes(door: Door, desk: PurchaseDesk) -> Sequence[Route]:
    """Return the routes; buying is no repetition of itself, so its handler is to be wrapped."""
    office = _Office(desk)
    return [
        Route("POST", BUY_PATH, Endpoint(door, _RULE, office.buy)),
        Route("POST", REDEEM_PATH, Endpoint(door, _RULE, office.redeem)),
    ]


class _Office:
    """What each endpoint does."""

    def __init__(self, desk: PurchaseDesk) -> None:
        self._desk = desk

    async def buy(self, caller: Principal, fields: Fields) -> dict[str, Any]:
        """Make the caller's user a member, paid from its balance; tell until when."""
        desk = self._desk
        fields.require("tier")
        tier = _tier(fields.text("tier"))
        months = fields.whole("months", 1, memberships.MOST_MONTHS) or 1
        async with durable_transaction(desk.engine) as tx:
            end, cost = await memberships.buy(
                tx, caller.user_id, tier, months, desk.prices, now=desk.clock.now()
            )
            left = await self._pots(tx, caller.user_id)
        return {
            "tier": tier.value,
            "expired_at": shown(end),
            "cost": money.units(cost, desk.units_per_usd),
            **left,
        }

    async def redeem(self, caller: Principal, fields: Fields) -> dict[str, str]:
        """Put a code's money into the pot it is for; tell both pots."""
        desk = self._desk
        fields.require("code")
        text = fields.text("code") or ""
        if len(text) > _LONGEST_CODE:
            raise BadFieldError("code", f"has at most {_LONGEST_CODE} characters")
        async with durable_transaction(desk.engine) as tx:
            used = await codes.redeem(tx, desk.pepper, text, caller.user_id, now=desk.clock.now())
            left = await self._pots(tx, caller.user_id)
        return {"amount": money.units(used.amount, desk.units_per_usd), **left}

    async def _pots(self, tx: AsyncConnection, user_id: int) -> dict[str, str]:
        pots = (await self._desk.pots(tx, [user_id])).get(user_id, Pots())
        return {
            "balance": money.units(pots.paid + pots.due, self._desk.units_per_usd),
            "free_balance": money.units(pots.free, self._desk.units_per_usd),
        }


def _tier(text: str | None) -> Tier:
    """Read a tier that can be bought, in any case. Raises `BadFieldError`."""
    for tier in (Tier.VIP, Tier.PREMIUM):
        if text is not None and text.casefold() == tier.casefold():
            return tier
    raise BadFieldError("tier", "is VIP or PREMIUM")
