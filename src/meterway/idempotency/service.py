"""One marked request is served once: claiming it, and keeping its reply for a day.

Follows https://docs.stripe.com/api/idempotent_requests. A row is *held* from the claim to the end
of the request, and *ended* with its sealed reply after. Its holder renews it while it runs. When
that stops, the row is not simply taken over: a clock cannot tell a process that died from one that
sleeps and will charge yet. `FateOf` is asked then, and only a call that is certainly free runs
again.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis
from meterway.idempotency import store
from meterway.idempotency.errors import (
    IdempotencyKeyError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    ReplyNotKeptError,
    ReplyUnreadableError,
)
from meterway.idempotency.types import Asked, Claim, Ended, Fate, Holder, Sealed
from meterway.kit.crypto import Box, SealError

KEPT_SECONDS = 86_400.0
LEASE_SECONDS = 30.0  # a holder that has not renewed for so long is asked after
_NAME_LENGTH = 255
_RETRY_AFTER = 1.0
_PURGED = 500  # rows of one purge: replies may be large
_ENDED: msgspec.msgpack.Decoder[Ended] = msgspec.msgpack.Decoder(Ended)
_COLUMN = "repeatable_replies.reply"

FateOf: TypeAlias = Callable[[AsyncConnection, Holder], Awaitable[Fate]]


async def never_free(tx: AsyncConnection, holder: Holder) -> Fate:  # noqa: ARG001 - a FateOf
    """Say of every call that it may have been charged: where nothing tells, none runs twice."""
    return Fate.CHARGED


def asked(user_id: int, name: bytes, method: str, path: str, body: bytes) -> Asked:
    """Return what identifies a marked request. Raises `IdempotencyKeyError`.

    `path` is canonical, `body` without its content-encoding: the same request written in another
    way is the same.
    """
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isascii() or not name.decode().isprintable():
        raise IdempotencyKeyError(
            f"An Idempotency-Key has 1 to {_NAME_LENGTH} printable ASCII characters; a UUID is a "
            "good one.",
            param="idempotency-key",
        )
    fingerprint = hashlib.sha256(f"{method}\0{path}\0".encode())
    fingerprint.update(body)
    return Asked(user_id, hashlib.sha256(name).digest(), fingerprint.digest())


def claim_of(asked: Asked, holder: Holder, now: float) -> Claim:
    """Return the right that `holder` is about to claim; `now` in seconds since the epoch."""
    kept_until = to_millis(now + KEPT_SECONDS)
    return Claim(asked.user_id, asked.name_hash, msgspec.msgpack.encode(holder), kept_until)


async def claim(
    tx: AsyncConnection, asked: Asked, wanted: Claim, fate_of: FateOf, now: float
) -> Sealed | None:
    """Claim a request: None where it is to be served now, else how it ended before.

    Raises `IdempotencyKeyReusedError`, `IdempotencyKeyInUseError`, and `ReplyNotKeptError` where
    the first request's process is gone and may have charged it.
    """
    moment = to_millis(now)
    values = {
        **_held(wanted),
        "fingerprint": asked.fingerprint,
        "created_at": moment,
        "expires_at": to_millis(now + LEASE_SECONDS),
    }
    if await store.add(tx, values):
        return None
    row = await store.locked(tx, asked.user_id, asked.name_hash)
    if row is None:  # it was released between the two statements
        raise _in_use()
    if not _is_over(row, moment):
        ended = await _before(tx, row, asked, fate_of, moment)
        if ended is not None:
            return ended
    await store.take_over(tx, values)
    return None


async def _before(
    tx: AsyncConnection, row: Row[Any], asked: Asked, fate_of: FateOf, moment: int
) -> Sealed | None:
    """Return how the request ended before, None where its holder is gone and charged nothing."""
    if row.fingerprint != asked.fingerprint:
        raise IdempotencyKeyReusedError(
            "This Idempotency-Key came before with another request; send each request its own, "
            "and repeat one with the same route and body."
        )
    if row.reply is not None:
        return Sealed(row.reply)
    if moment < row.expires_at:
        raise _in_use()
    match await fate_of(tx, msgspec.msgpack.decode(row.holder, type=Holder)):
        case Fate.UNKNOWN:
            raise _in_use()
        case Fate.CHARGED:
            raise ReplyNotKeptError(
                "The gateway stopped while it served the first request with this Idempotency-Key, "
                "which may have been charged. Send a new key to run it again."
            )
        case Fate.FREE:
            return None


def _is_over(row: Row[Any], moment: int) -> bool:
    """Whether a row's day has passed; one that is still held has its day from its beginning."""
    if row.expires_at > moment:
        return False
    return row.holder is None or row.created_at + to_millis(KEPT_SECONDS) <= moment


def _in_use() -> IdempotencyKeyInUseError:
    return IdempotencyKeyInUseError(
        "The first request with this Idempotency-Key still runs; repeat it in a moment to get its "
        "reply.",
        retry_after=_RETRY_AFTER,
    )


def seal(box: Box, claim: Claim, ended: Ended) -> Sealed:
    """Seal how a request ended, for the claim's row alone."""
    place = _place(claim.user_id, claim.name_hash)
    return Sealed(box.seal(msgspec.msgpack.encode(ended), place).encode())


def unseal(box: Box, asked: Asked, sealed: Sealed) -> Ended:
    """Return how a request ended. Raises `ReplyUnreadableError`."""
    try:
        text = sealed.data.decode()
        plain = box.open(text, _place(asked.user_id, asked.name_hash))
        return _ENDED.decode(plain)
    except (SealError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ReplyUnreadableError(
            "The reply kept for this Idempotency-Key cannot be opened, and the request is not run "
            "again. Send a new key to run it once more."
        ) from error


async def finish(tx: AsyncConnection, claim: Claim, sealed: Sealed) -> bool:
    """Keep how a request ended until its day is over; False where the claim is held no more."""
    return await store.finish(tx, _held(claim), sealed.data, claim.kept_until)


async def release(tx: AsyncConnection, claim: Claim) -> bool:
    """Forget a request that changed nothing, so that it may run again; False as in `finish`."""
    return await store.release(tx, _held(claim))


async def renew(tx: AsyncConnection, claims: Sequence[Claim], now: float) -> None:
    """Say that the requests of `claims`, at least one, still run."""
    held = [_held(claim) for claim in claims]
    await store.renew(tx, held, to_millis(now + LEASE_SECONDS))


async def purge(tx: AsyncConnection, now: float, limit: int = _PURGED) -> int:
    """Delete up to `limit` requests whose day is over; return how many."""
    return await store.purge(tx, to_millis(now), to_millis(now - KEPT_SECONDS), limit)


async def forget(tx: AsyncConnection, user_id: int) -> int:
    """Delete every reply kept for a user; return how many. A repeat of such a request runs anew."""
    return await store.forget(tx, user_id)


async def reseal(tx: AsyncConnection, box: Box) -> int:
    """Seal every kept reply with the newest secret; return how many.

    What cannot be opened stays as it is: nobody can read it, and it is gone within a day.
    """
    count = 0
    async for user_id, name_hash, reply in store.sealed(tx):
        try:
            anew = box.reseal(reply.decode(), _place(user_id, name_hash))
        except (SealError, UnicodeDecodeError):
            continue
        await store.replace(tx, user_id, name_hash, anew.encode())
        count += 1
    return count


def _held(claim: Claim) -> dict[str, Any]:
    return {
        "user_id": claim.user_id,
        "name_hash": claim.name_hash,
        "holder": claim.holder,
    }


def _place(user_id: int, name_hash: bytes) -> str:
    return f"{_COLUMN}:{user_id}.{name_hash.hex()}"
