"""What can be done with redemption codes: make them, redeem one, list them."""

import secrets
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis
from meterway.kit.crypto import key_hash
from meterway.kit.money import MOST
from meterway.ledger.books.types import Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.codes import store
from meterway.ledger.codes.errors import (
    BadCodeError,
    CodeExpiredError,
    CodeNotFoundError,
    CodeUsedError,
)
from meterway.ledger.codes.types import Code, NewCodes

AT_ONCE: Final = 1000
"""How many codes can be made in one go."""

_PREFIX, _GROUPS, _LENGTH = "MW", 4, 5
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing looks alike
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LONGEST_REMARK = 255


async def create(tx: AsyncConnection, pepper: bytes, new: NewCodes, *, now: float) -> list[str]:
    """Make codes and return their texts, which nobody can ever read again.

    Raises `BadCodeError`.
    """
    _check(new, now)
    texts = [_new_text() for _ in range(new.count)]
    row = {
        "amount": new.amount,
        "pot": new.pot.value,
        "remark": new.remark,
        "created_at": to_millis(now),
        "expires_at": None if new.expires_at is None else to_millis(new.expires_at),
    }
    await store.add(tx, [row | {"hash": _hash(pepper, text)} for text in texts])
    return texts


async def redeem(
    tx: AsyncConnection, pepper: bytes, text: str, user_id: int, *, now: float
) -> Code:
    """Put a code's money into a user's pot, once; case, spaces and dashes of it do not matter.

    Raises `CodeNotFoundError`, `CodeUsedError` and `CodeExpiredError`.
    """
    hashed = _hash(pepper, text)
    claimed = await store.claim(tx, hashed, user_id, now)
    if claimed is None:
        raise _refusal(await store.one(tx, hashed))
    await budgets.grant(
        tx,
        user_id,
        claimed.amount,
        claimed.pot,
        at=now,
        reference=f"code:{claimed.id}",
        reason=f"redemption code {claimed.id}",
    )
    return claimed


async def every(connection: AsyncConnection) -> list[Code]:
    """Return all codes, oldest first, without their texts."""
    return await store.every(connection)


def _check(new: NewCodes, now: float) -> None:
    if new.pot not in {Kind.FREE, Kind.PAID}:
        raise BadCodeError("A code fills the free or the paid pot.")
    if not 0 < new.amount <= MOST:
        raise BadCodeError("The amount has to be more than nothing, and not absurdly large.")
    if not 1 <= new.count <= AT_ONCE:
        raise BadCodeError(f"Make at least one code, and at most {AT_ONCE} in one go.")
    if len(new.remark) > _LONGEST_REMARK or not new.remark.isprintable():
        raise BadCodeError(f"A remark has at most {_LONGEST_REMARK} characters, all printable.")
    if new.expires_at is not None and new.expires_at <= now:
        raise BadCodeError("The codes would have expired already; name a later moment.")


def _new_text() -> str:
    groups = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(_GROUPS)]
    return "-".join((_PREFIX, *groups))


def _hash(pepper: bytes, text: str) -> bytes:
    letters = "".join(sign for sign in text.upper() if sign.isalnum())
    if len(letters) > _GROUPS * _LENGTH:
        letters = letters.removeprefix(_PREFIX)
    return key_hash(pepper, "code:" + letters.translate(_READ_AS))


def _refusal(found: Code | None) -> CodeNotFoundError | CodeUsedError | CodeExpiredError:
    if found is None:
        return CodeNotFoundError("There is no such redemption code; see whether it is complete.")
    if found.used_by is not None:
        return CodeUsedError("That redemption code was used before; each works once.")
    return CodeExpiredError("That redemption code has expired; ask for another one.")
