"""The SQL of seals, and of the entries they cover."""

from collections.abc import Collection, Sequence

from msgspec.structs import astuple
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.rows import Values, fetch, insert
from meterway.ledger.seals.tables import seals
from meterway.ledger.seals.types import Seal

_COLUMNS = Seal.__struct_fields__
_LAST = text(f"SELECT {', '.join(_COLUMNS)} FROM seals ORDER BY batch DESC LIMIT 1")  # noqa: S608 - our own names
_LAST_ENTRY = text("SELECT COALESCE(MAX(id), 0) FROM entries")
_UNNUMBERED = text("SELECT COUNT(*) FROM entries WHERE id < 1")
_ENTRIES = text(
    "SELECT id, at, kind, user_id, reference, reverses, reason FROM entries "
    "WHERE id > :after AND id <= :upto ORDER BY id"
)
_POSTINGS = text(
    "SELECT p.entry_id, a.kind, a.owner, a.name, p.amount "
    "FROM postings p JOIN book_accounts a ON a.id = p.account_id "
    "WHERE p.entry_id > :after AND p.entry_id <= :upto ORDER BY p.entry_id, p.account_id"
)


async def last(connection: AsyncConnection) -> Seal | None:
    """Return the newest seal."""
    rows = await fetch(connection, _LAST, {})
    return Seal(*rows[0]) if rows else None


async def add(tx: AsyncConnection, seal: Seal) -> None:
    """Insert a seal. Raises SQLAlchemy's `IntegrityError` where its number is used."""
    await insert(tx, "seals", _COLUMNS, [astuple(seal)])


async def after(connection: AsyncConnection, batch: int, limit: int) -> list[Seal]:
    """Return seals in their order, from the one after `batch` on."""
    query = select(seals).where(seals.c.batch > batch).order_by(seals.c.batch).limit(limit)
    return [Seal(*row) for row in await connection.execute(query)]


async def of(connection: AsyncConnection, batches: Collection[int]) -> list[Seal]:
    """Return the seals with these numbers."""
    query = select(seals).where(seals.c.batch.in_(batches))
    return [Seal(*row) for row in await connection.execute(query)]


async def erasing(connection: AsyncConnection) -> list[bytes]:
    """Return the contents of every seal on an erasure, newest first."""
    query = select(seals.c.content).where(seals.c.charges < 0).order_by(seals.c.batch.desc())
    return list((await connection.execute(query)).scalars())


async def erased(connection: AsyncConnection) -> int:
    """Return how many charges erasures took away."""
    query = select(func.coalesce(-func.sum(seals.c.charges), 0)).where(seals.c.charges < 0)
    return int((await connection.execute(query)).scalar_one())


async def charged(connection: AsyncConnection, beyond: int) -> int:
    """Return how many batches after `beyond` have charges."""
    query = (
        select(func.count()).select_from(seals).where(seals.c.charges > 0, seals.c.batch > beyond)
    )
    return (await connection.execute(query)).scalar_one()


async def last_entry(connection: AsyncConnection) -> int:
    """Return the largest number of an entry, 0 where there is none."""
    found: int = (await fetch(connection, _LAST_ENTRY, {}))[0][0]
    return found


async def unnumbered(connection: AsyncConnection) -> int:
    """Return how many entries have numbers that none is given, where no seal looks."""
    found: int = (await connection.execute(_UNNUMBERED)).scalar_one()
    return found


async def entries(connection: AsyncConnection, after_id: int, upto: int) -> Sequence[Values]:
    """Return entries in their order, without their postings."""
    return await fetch(connection, _ENTRIES, {"after": after_id, "upto": upto})


async def postings(connection: AsyncConnection, after_id: int, upto: int) -> Sequence[Values]:
    """Return postings by entry and account, each with its account's key."""
    return await fetch(connection, _POSTINGS, {"after": after_id, "upto": upto})
