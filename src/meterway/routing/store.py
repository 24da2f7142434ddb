"""The SQL of channels."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.routing.tables import channels
from meterway.routing.types import Origin, StoredChannel


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> int:
    """Insert a channel and return its id."""
    row = insert(channels).values(values).returning(channels.c.id)
    added: int = (await tx.execute(row)).scalar_one()
    return added


async def change(tx: AsyncConnection, channel_id: int, values: Mapping[str, Any]) -> None:
    """Change columns of a channel."""
    await tx.execute(update(channels).where(channels.c.id == channel_id).values(values))


async def live(connection: AsyncConnection) -> list[StoredChannel]:
    """Return the channels that are not removed, oldest first."""
    query = select(channels).where(channels.c.deleted_at.is_(None)).order_by(channels.c.id)
    return [_stored(row) for row in await connection.execute(query)]


async def named(connection: AsyncConnection, name: str) -> StoredChannel | None:
    """Return the channel with a name, unless it was removed."""
    query = select(channels).where(channels.c.name == name, channels.c.deleted_at.is_(None))
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _stored(row)


async def was_removed(connection: AsyncConnection, name: str, origins: Collection[Origin]) -> bool:
    """Say whether a channel of this name and one of `origins` was there once and then removed."""
    query = exists().where(
        channels.c.name == name,
        channels.c.origin.in_(origins),
        channels.c.deleted_at.is_not(None),
    )
    return (await connection.execute(select(query))).scalar_one()


async def any_real(connection: AsyncConnection) -> bool:
    """Say whether a channel beyond this process is or was there."""
    return (await connection.execute(select(exists().where(channels.c.real)))).scalar_one()


def _stored(row: Row[*tuple[object, ...]]) -> StoredChannel:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row by column
    values = {str(column): value for column, value in facts.items()}
    return msgspec.convert(values, StoredChannel)
