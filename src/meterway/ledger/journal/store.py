"""The SQL of journals."""

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis
from meterway.db.rows import change
from meterway.ledger.journal.tables import journals
from meterway.ledger.journal.types import Cursor, Registered

_MOVE = text(
    "UPDATE journals SET segment = :segment, position = :position WHERE id = :id "
    "AND segment = :from_segment AND position = :from_position AND closed_at IS NULL"
)


async def add(tx: AsyncConnection, name: str, place: str, cursor: Cursor, at: float) -> int:
    """Insert a journal and return its number."""
    values = {
        "name": name,
        "place": place,
        "segment": cursor.segment,
        "position": cursor.position,
        "opened_at": to_millis(at),
    }
    added: int = (
        await tx.execute(insert(journals).values(values).returning(journals.c.id))
    ).scalar_one()
    return added


async def named(connection: AsyncConnection, names: list[str]) -> list[Registered]:
    """Return the journals of these names."""
    query = select(journals).where(journals.c.name.in_(names))
    return [_registered(row) for row in await connection.execute(query)]


async def unclosed(connection: AsyncConnection) -> list[Registered]:
    """Return the journals that may hold leases, oldest first."""
    query = select(journals).where(journals.c.closed_at.is_(None)).order_by(journals.c.id)
    return [_registered(row) for row in await connection.execute(query)]


async def move(tx: AsyncConnection, journal_id: int, before: Cursor, after: Cursor) -> bool:
    """Change an open journal's position; False where it was not where it was thought to be."""
    row = {
        "id": journal_id,
        "segment": after.segment,
        "position": after.position,
        "from_segment": before.segment,
        "from_position": before.position,
    }
    return await change(tx, _MOVE, [row]) == 1


async def close(tx: AsyncConnection, journal_id: int, at: float) -> bool:
    """Close a journal; False where it was closed."""
    query = (
        update(journals)
        .where(journals.c.id == journal_id, journals.c.closed_at.is_(None))
        .values(closed_at=to_millis(at))
    )
    return (await tx.execute(query)).rowcount == 1


def _registered(row: Row[*tuple[object, ...]]) -> Registered:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    return Registered(
        id=facts[journals.c.id],
        name=facts[journals.c.name],
        place=facts[journals.c.place],
        cursor=Cursor(facts[journals.c.segment], facts[journals.c.position]),
        is_closed=facts[journals.c.closed_at] is not None,
    )
