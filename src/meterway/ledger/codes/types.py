"""Redemption codes as values."""

import msgspec

from meterway.kit.money import Nanos
from meterway.ledger.books.types import Kind


class NewCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes to be made, all alike; `pot` is `FREE` or `PAID`, the moment in seconds."""

    amount: Nanos
    count: int = 1
    pot: Kind = Kind.FREE
    remark: str = ""
    expires_at: float | None = None


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A code without its text, which nobody can read again; moments in seconds."""

    id: int
    amount: Nanos
    pot: Kind
    remark: str
    created_at: float
    expires_at: float | None
    used_by: int | None
    used_at: float | None
