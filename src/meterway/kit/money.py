"""Amounts of money: whole nano-dollars inside, decimal text and the platform's units outside."""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, TypeAlias

from meterway.kit.errors import InvalidRequestError

Nanos: TypeAlias = int
"""Money: billionths of a US dollar."""

NANOS_PER_USD: Final = 1_000_000_000
MOST: Final = 1_000_000_000 * NANOS_PER_USD
"""The largest amount anybody may name; sums of many still fit 64 bits."""

_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,9})?")
_UNIT_PLACES = Decimal("0.01")
_NANOS_PER_CENT, _BELOW_CENTS = 10_000_000, 7  # digits


class BadAmountError(InvalidRequestError):
    """An amount is no decimal number, too fine, or too large."""

    code = "bad_amount"


def dollars(text: str) -> Nanos:
    """Read dollars such as `12.34`, without sign, exponent or grouping. Raises `BadAmountError`."""
    return _amount(text, NANOS_PER_USD, "dollars, such as 12.34")


def shown(amount: Nanos) -> str:
    """Return dollars with at least two places and no more than the amount needs."""
    if amount < 0:
        return f"-{shown(-amount)}"
    text = "%d.%09d" % divmod(amount, NANOS_PER_USD)  # noqa: UP031 - faster
    return text.rstrip("0") if amount % _NANOS_PER_CENT else text[:-_BELOW_CENTS]


def from_units(text: str, per_usd: int) -> Nanos:
    """Read an amount in the platform's units, `per_usd` to the dollar.

    Raises `BadAmountError`.
    """
    return _amount(text, Decimal(NANOS_PER_USD) / per_usd, "units, such as 8217.00")


def units(amount: Nanos, per_usd: int) -> str:
    """Return an amount in the platform's units, with two places."""
    exact = Decimal(amount) * per_usd / NANOS_PER_USD
    return str(exact.quantize(_UNIT_PLACES, rounding=ROUND_HALF_EVEN))


def _amount(text: str, scale: int | Decimal, what: str) -> Nanos:
    if not _DECIMAL.fullmatch(text) or not text.isascii():
        raise BadAmountError(f"An amount is a decimal number of {what}, without a sign.")
    amount = int((Decimal(text) * scale).to_integral_value(rounding=ROUND_HALF_EVEN))
    if amount > MOST:
        raise BadAmountError("That amount is too large.")
    return amount
