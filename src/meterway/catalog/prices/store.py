"""The SQL of the price book."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.catalog.tables import multipliers, prices
from meterway.catalog.tariffs import Kind, Origin, Price, Tariff
from meterway.db.metadata import to_millis, to_seconds


async def every(connection: AsyncConnection, models: Collection[str] | None = None) -> list[Price]:
    """Return all rows, or those of some models, in the order they were made."""
    asked = select(prices).order_by(prices.c.id)
    if models is not None:
        asked = asked.where(prices.c.model.in_(models))
    return [_price(row) for row in await connection.execute(asked)]


async def add(tx: AsyncConnection, new: Price, *, now: float) -> int:
    """Insert a row; its id is given by the database and returned."""
    row = insert(prices).values(
        model=new.model,
        effective_at=to_millis(new.effective_at),
        tariff=msgspec.to_builtins(new.tariff),
        origin=new.origin,
        source=new.source,
        created_at=to_millis(now),
    )
    added: int = (await tx.execute(row.returning(prices.c.id))).scalar_one()
    return added


async def factors(connection: AsyncConnection) -> dict[tuple[Kind, str], int]:
    """Return every multiplier that was set."""
    rows = await connection.execute(select(multipliers))
    return {(Kind(row.kind), row.name): row.ppm for row in rows}


async def set_factor(tx: AsyncConnection, kind: Kind, name: str, ppm: int) -> None:
    """Put a multiplier in the place of the one there was."""
    same = (multipliers.c.kind == kind) & (multipliers.c.name == name)
    await tx.execute(delete(multipliers).where(same))
    await tx.execute(insert(multipliers).values(kind=kind, name=name, ppm=ppm))


def _price(row: Row[*tuple[object, ...]]) -> Price:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    return Price(
        id=facts[prices.c.id],
        model=facts[prices.c.model],
        effective_at=to_seconds(facts[prices.c.effective_at]),
        tariff=msgspec.convert(facts[prices.c.tariff], Tariff),
        origin=Origin(facts[prices.c.origin]),
        source=facts[prices.c.source],
    )
