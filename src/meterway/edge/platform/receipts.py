"""GET `/api/v1/user/receipts/{call}`: how the price of one call came about.

The caller sees the calls of its own user; a key that is no admin key those made with it alone.
What a call cost the house, and along which channel it went, is shown to those who run the house.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts import service as accounts
from meterway.accounts.types import User
from meterway.db.engine import reading
from meterway.edge.http import Receive, Scope, Send
from meterway.edge.platform.envelope import ANY_KEY, Door, admitted, answer
from meterway.edge.server import Route
from meterway.kit import ids, money
from meterway.kit.errors import NotFoundError
from meterway.kit.moments import shown
from meterway.ledger.charges.types import AttemptCost, Charge

PATH = "/api/v1/user/receipts/{call}"
_MILLION = 1_000_000


class ReceiptNotFoundError(NotFoundError):
    """The caller has no ended call with this id."""

    code = "receipt_not_found"


class ReadReceipt(Protocol):
    """Reads one posted call of a user."""

    async def __call__(
        self, connection: AsyncConnection, user_id: int, call_id: int, /
    ) -> Charge | None:
        """Return it; None where the user has no such call."""


class ReceiptDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint works with."""

    engine: AsyncEngine
    receipt: ReadReceipt
    units_per_usd: int


def routes(door: Door, desk: ReceiptDesk) -> Sequence[Route]:
    """Return the route of receipts."""
    return [Route("GET", PATH, OneReceipt(door, desk))]


class OneReceipt:
    """The ASGI handler of one receipt."""

    def __init__(self, door: Door, desk: ReceiptDesk) -> None:
        self._door = door
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `ReceiptNotFoundError`."""
        del receive
        caller = await admitted(scope, self._door, ANY_KEY)
        call_id = ids.call_id_of(scope["path_params"]["call"])
        if call_id is None:
            raise ReceiptNotFoundError("A call's id is `req_` and sixteen hex digits.")
        found, user = await self._door.unbroken(self._read(caller.user_id, call_id))
        if found is None or not (caller.is_admin or found.key_id == caller.key_id):
            raise ReceiptNotFoundError(
                "You have no ended call with this id; a receipt is there a moment after its call."
            )
        inside = caller.is_admin and user is not None and user.is_admin
        await answer(scope, send, whole(found, self._desk.units_per_usd, inside=inside))

    async def _read(self, user_id: int, call_id: int) -> tuple[Charge | None, User | None]:
        async with reading(self._desk.engine) as connection:
            found = await self._desk.receipt(connection, user_id, call_id)
            return found, await accounts.by_id(connection, user_id)


def line(charge: Charge, units_per_usd: int) -> dict[str, Any]:
    """Return a call as one line of the usage log."""
    receipt = charge.receipt
    return {
        "id": ids.request_id(charge.call_id),
        "at": shown(receipt.began),
        "key_id": str(charge.key_id),
        "model": charge.model,
        "input_tokens": receipt.usage.total_input,
        "output_tokens": receipt.usage.total_output,
        "fee": money.units(charge.price, units_per_usd),
        "fee_usd": money.shown(charge.price),
        "outcome": receipt.outcome,
    }


def whole(charge: Charge, units_per_usd: int, *, inside: bool) -> dict[str, Any]:
    """Return all that is known of a call; `inside` adds what it cost the house."""
    receipt = charge.receipt
    legs = ("free", "paid", "credit", "due", "overrun")
    told = {
        **line(charge, units_per_usd),
        "dialect": receipt.dialect,
        "stream": receipt.stream,
        "seconds": receipt.seconds,
        "first_byte_seconds": receipt.first_byte,
        "usage": {name: getattr(receipt.usage, name) for name in receipt.usage.__struct_fields__},
        "usage_source": receipt.usage_source,
        "policy": receipt.policy,
        "error": receipt.error,
        "price_id": str(receipt.price_id),
        "service": receipt.service,
        "multipliers": {name: _factor(ppm) for name, ppm in receipt.multipliers.items()},
        "hold_usd": money.shown(receipt.hold),
        "paid_by_usd": {name: money.shown(getattr(charge, name)) for name in legs},
        "attempts": [_attempt(one, inside=inside) for one in receipt.attempts],
    }
    return told | ({"cost_usd": money.shown(charge.cost)} if inside else {})


def _attempt(one: AttemptCost, *, inside: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"status": one.status, "error": one.error}
    return told | ({"channel": one.channel, "cost_usd": money.shown(one.cost)} if inside else {})


def _factor(ppm: int) -> str:
    """Return millionths as a decimal number."""
    whole_part, rest = divmod(ppm, _MILLION)
    return f"{whole_part}.{rest:06d}".rstrip("0").rstrip(".")
