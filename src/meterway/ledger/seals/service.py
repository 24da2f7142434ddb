"""The chain of seals: adding a link, and walking it to see whether it holds.

A seal's digest is SHA-256 over the digest before it, its own row, and two digests over the entries
that came since and over their postings. Rows are hashed as `canonical` bytes, one after another in
the order of their numbers.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from itertools import islice
from operator import itemgetter
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis
from meterway.db.rows import Values
from meterway.ledger.seals import store
from meterway.ledger.seals.types import GENESIS, Erased, Seal

canonical = msgspec.msgpack.Encoder().encode
"""Return the bytes that are hashed of a row: a MessagePack array in its shortest form."""

_content = msgspec.msgpack.Decoder(list[Erased]).decode
_ENTRIES_AT_ONCE: Final = 20_000
_SEALS_AT_ONCE: Final = 5_000
_first = itemgetter(0)


def digest(rows: Iterable[Values]) -> bytes:
    """Return the digest of rows as they come."""
    return sha256(b"".join(map(canonical, rows))).digest()


async def last(connection: AsyncConnection) -> Seal:
    """Return the newest seal; `GENESIS` where there is none."""
    return await store.last(connection) or GENESIS


async def last_entry(connection: AsyncConnection) -> int:
    """Return the largest number of an entry, 0 where there is none."""
    return await store.last_entry(connection)


async def add(
    tx: AsyncConnection, before: Seal, *, charges: int, content: bytes, at: float
) -> Seal:
    """Seal a batch with so many charges, whose digest is `content`, and every entry since.

    `before` is the newest seal, read while nobody else could post (`books.lock`); `at` in seconds.
    """
    upto = await store.last_entry(tx)
    entries = await _Entries(tx, before.last_entry).digest(upto)
    seal = Seal(before.batch + 1, to_millis(at), charges, upto, content, b"")
    seal = msgspec.structs.replace(seal, digest=_link(before, seal, entries))
    await store.add(tx, seal)
    return seal


async def add_erasure(
    tx: AsyncConnection, before: Seal, erased: Sequence[Erased], *, charges: int, at: float
) -> Seal:
    """Seal that so many charges were erased, and what stayed of their batches; else as `add`."""
    return await add(tx, before, charges=-charges, content=canonical(erased), at=at)


async def erasures(connection: AsyncConnection) -> tuple[int, dict[int, Erased]]:
    """Return the batch up to which everything is erased, and what stayed of others by batch."""
    through, parts = 0, dict[int, Erased]()
    for content in await store.erasing(connection):
        for erased in _told(content):
            if erased.digest:
                parts.setdefault(erased.first, erased)
            else:
                through = max(through, erased.last)
    return through, parts


def _told(content: bytes) -> list[Erased]:
    try:
        return _content(content)
    except msgspec.MsgspecError:
        return []  # no erasure wrote this; the chain does not hold here


async def of(connection: AsyncConnection, batches: Collection[int]) -> dict[int, Seal]:
    """Return the seals with these numbers, by number."""
    return {seal.batch: seal for seal in await store.of(connection, batches)}


async def following(connection: AsyncConnection, batch: int, limit: int) -> list[Seal]:
    """Return at most `limit` seals after the one with number `batch`."""
    return await store.after(connection, batch, limit)


async def erased(connection: AsyncConnection) -> int:
    """Return how many charges were erased in all."""
    return await store.erased(connection)


async def charged(connection: AsyncConnection, beyond: int) -> int:
    """Return how many batches after `beyond` were sealed with charges."""
    return await store.charged(connection, beyond)


async def broken(connection: AsyncConnection) -> list[str]:
    """Walk the chain; say where it does not hold."""
    found: list[str] = []
    if unnumbered := await store.unnumbered(connection):
        found.append(f"{unnumbered} entries have numbers below 1")
    entries = _Entries(connection, GENESIS.last_entry)
    before = GENESIS
    while seals := await store.after(connection, before.batch, _SEALS_AT_ONCE):
        for seal in seals:
            if seal.batch != before.batch + 1:
                found.append(f"seals {before.batch + 1} to {seal.batch - 1} are missing")
            upto = max(seal.last_entry, before.last_entry)
            if _link(before, seal, await entries.digest(upto)) != seal.digest:
                found.append(
                    f"seal {seal.batch} does not fit: it, an entry from {before.last_entry + 1} "
                    f"to {upto}, or a posting of them was changed"
                )
            before = seal
    return found


def _link(before: Seal, seal: Seal, entries: bytes) -> bytes:
    row = canonical((seal.batch, seal.at, seal.charges, seal.last_entry, seal.content))
    return sha256(before.digest + row + entries).digest()


class _Entries:
    """Entries and their postings in their order, hashed piece by piece."""

    def __init__(self, connection: AsyncConnection, after: int) -> None:
        self._connection = connection
        self._read_to = after
        self._buffers: tuple[Sequence[Values], Sequence[Values]] = ([], [])
        self._taken = [0, 0]

    async def digest(self, upto: int) -> bytes:
        """Return the two digests of what lies between the last call's number and this one."""
        hashers = (sha256(), sha256())
        while True:
            for i, rows in enumerate(self._buffers):
                end = bisect_right(rows, upto, lo=self._taken[i], key=_first)
                hashers[i].update(b"".join(map(canonical, islice(rows, self._taken[i], end))))
                self._taken[i] = end
            if self._read_to >= upto:
                return hashers[0].digest() + hashers[1].digest()
            await self._read()

    async def _read(self) -> None:
        """Read on; everything read before was hashed."""
        after, self._read_to = self._read_to, self._read_to + _ENTRIES_AT_ONCE
        self._buffers = (
            await store.entries(self._connection, after, self._read_to),
            await store.postings(self._connection, after, self._read_to),
        )
        self._taken = [0, 0]
