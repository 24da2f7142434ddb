"""From the text of a key to its principal: from memory when warm, else one question at a time."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts import service as accounts
from meterway.accounts.types import User
from meterway.auth.errors import DisabledKeyError, ExpiredKeyError, InvalidKeyError
from meterway.auth.types import Principal
from meterway.catalog.types import Model
from meterway.db.engine import reading
from meterway.keys import service as keys
from meterway.keys.permissions import CAPABILITIES
from meterway.keys.types import Key, masked
from meterway.kit.clock import Clock
from meterway.kit.errors import UnavailableError
from meterway.kit.tasks import Tasks
from meterway.routing import service as routing

_ABSENT_SECONDS = 1.0
_ABSENT_LIMIT = 10_000


async def grantable(connection: AsyncConnection, models: Iterable[Model]) -> frozenset[str]:
    """Return what a key's permissions may name.

    These are `models` and their families, the models of stored channels, and the capabilities.
    """
    known = {name for model in models for name in (model.id, model.family)}
    known.update(model for row in await routing.stored(connection) for model in row.models)
    return CAPABILITIES | known


class _Known(msgspec.Struct, frozen=True):
    """What is remembered of a key: whose it is, and why it may not be used, if so."""

    principal: Principal
    disabled: str | None


_Found: TypeAlias = _Known | UnavailableError | None


class Authenticator:
    """Tells who calls; one per process.

    Remembers `size` keys by the SHA-256 of their whole text, and for a second which keys do not
    exist. Many callers with one unknown key ask the database once. `forget` is called when the
    `keys` version moves, which makes a revocation hold within one poll.
    """

    def __init__(
        self, engine: AsyncEngine, pepper: bytes, clock: Clock, *, size: int = 10_000
    ) -> None:
        self._engine = engine
        self._pepper = pepper
        self._clock = clock
        self._size = size
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._absent: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Found]] = {}
        self._tasks = Tasks()
        self._generation = 0

    def known(self, token: str) -> Principal | None:
        """Return the principal from memory; None means: ask `principal`.

        Raises `DisabledKeyError` or `ExpiredKeyError` for a key that is remembered as such.
        """
        digest = _digest(token)
        found = self._known.get(digest)
        if found is None:
            return None
        self._known.move_to_end(digest)
        return _admitted(found, self._clock.now())

    async def principal(self, token: str) -> Principal:
        """Return the principal, asking the database where memory does not know.

        Raises `InvalidKeyError`, `DisabledKeyError` or `ExpiredKeyError` with the key masked,
        and `UnavailableError` where the database fails: never a 401 for a key that may be good.
        """
        found = self.known(token)
        if found is not None:
            return found
        digest = _digest(token)
        answer: _Found = None
        if keys.has_form(token) and not self._is_absent(digest):
            answer = await self._asked_once(digest, token)
        if isinstance(answer, UnavailableError):
            raise UnavailableError(answer.message, retry_after=answer.retry_after) from answer
        if answer is None:
            raise InvalidKeyError(f"Incorrect API key provided: {masked(token)}.")
        return _admitted(answer, self._clock.now())

    def forget(self) -> None:
        """Drop everything remembered, and what is being asked at the moment."""
        self._generation += 1
        self._known.clear()
        self._absent.clear()
        self._asking.clear()

    async def close(self) -> None:
        """Wait for the questions under way; before the engine is disposed of."""
        await self._tasks.drain()

    def _is_absent(self, digest: bytes) -> bool:
        until = self._absent.get(digest)
        return until is not None and self._clock.monotonic() < until

    async def _asked_once(self, digest: bytes, token: str) -> _Found:
        """Ask the database, or wait with those who ask already.

        The question is a task of its own: a caller who leaves neither takes the others along nor
        cuts the database connection in the middle of an answer.
        """
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._tasks.spawn(
                self._ask(digest, token, self._generation), name="key.lookup"
            )
            self._asking[digest] = asking
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes, token: str, generation: int) -> _Found:
        try:
            answer = await self._looked_up(token)
        except UnavailableError as error:
            return error
        finally:
            if generation == self._generation:  # else another may be asking by now
                self._asking.pop(digest, None)
        if generation == self._generation:  # else the answer may be older than the change
            self._remember(digest, answer)
        return answer

    async def _looked_up(self, token: str) -> _Known | None:
        async with reading(self._engine) as connection:
            key = await keys.find(connection, self._pepper, token)
            user = None if key is None else await accounts.by_id(connection, key.user_id)
        return None if key is None or user is None else _known(key, user)

    def _remember(self, digest: bytes, answer: _Known | None) -> None:
        if answer is None:
            self._absent[digest] = self._clock.monotonic() + _ABSENT_SECONDS
            self._absent.move_to_end(digest)
            while len(self._absent) > _ABSENT_LIMIT:
                self._absent.popitem(last=False)
            return
        self._absent.pop(digest, None)
        self._known[digest] = answer
        while len(self._known) > self._size:
            self._known.popitem(last=False)


async def principal_of(connection: AsyncConnection, key_id: int, now: float) -> Principal:
    """Return whom a key belongs to, by its number; `now` in seconds since the epoch.

    Raises `InvalidKeyError`, `DisabledKeyError` and `ExpiredKeyError`.
    """
    key = await keys.by_id(connection, key_id)
    user = None if key is None else await accounts.by_id(connection, key.user_id)
    if key is None or user is None:
        raise InvalidKeyError("The API key this was asked with is not there any more.")
    return _admitted(_known(key, user), now)


def _known(key: Key, user: User) -> _Known:
    principal = Principal(
        key_id=key.id,
        user_id=user.id,
        key_name=key.shown,
        permissions=key.permissions,
        expires_at=key.expires_at,
        is_admin=key.is_admin,
        of_admin=user.is_admin,
        postpaid=user.postpaid,
        default_model=key.default_model,
        capped=key.max_fee > 0,
        tier=user.tier,
        tier_expires_at=user.tier_expires_at,
        keeps=not (user.zero_retention or key.zero_retention),
    )
    if key.deleted_at is not None:
        return _Known(principal, "This API key was deleted")
    if key.disabled:
        return _Known(principal, "This API key was disabled")
    return _Known(principal, "The user of this API key was disabled" if user.disabled else None)


def _admitted(found: _Known, now: float) -> Principal:
    principal = found.principal
    if found.disabled is not None:
        raise DisabledKeyError(f"{found.disabled}: {principal.key_name}.")
    if principal.expires_at is not None and principal.expires_at <= now:
        raise ExpiredKeyError(f"This API key has expired: {principal.key_name}.")
    return principal


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
