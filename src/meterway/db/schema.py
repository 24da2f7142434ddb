"""The tables' version: which one this program wants, which one is there, and the way up."""

from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.db.engine import reading, transaction
from meterway.db.errors import SchemaError

HEAD: Final = "0006"
"""The newest migration, named here so that no start has to import Alembic to compare."""

_SCRIPTS = "meterway:migrations"
_TABLE = "alembic_version"
_LOCK = 0x6D657465  # any number of ours: PostgreSQL's advisory locks are one space


async def current(connection: AsyncConnection) -> str | None:
    """Return the migration the database is at; None where there was none yet."""
    return await connection.run_sync(_current)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar_one_or_none()  # noqa: S608 - a constant


async def upgrade(engine: AsyncEngine) -> bool:
    """Bring the tables to `HEAD`; True where there was something to do.

    Any number of processes may call it at once: the first does the work, in one transaction.
    Raises `SchemaError` where the database was made by a newer program, and `UnavailableError`.
    """
    async with reading(engine) as connection:
        if await current(connection) == HEAD:
            return False
    async with transaction(engine) as tx:
        if tx.dialect.name == "postgresql":
            await tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        if await current(tx) == HEAD:
            return False
        await tx.run_sync(_migrate)
    return True


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 10 MB that only a migrating process needs
    from alembic.config import Config  # noqa: PLC0415 - same
    from alembic.util import CommandError  # noqa: PLC0415 - same

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaError(
            f"The database is at {_current(connection)}, which this version of Meterway does not "
            f"know (it knows up to {HEAD}); install the version that last ran on it."
        ) from error


async def require_head(connection: AsyncConnection) -> None:
    """Raise `SchemaError` unless the tables are the ones this program was written for."""
    found = await current(connection)
    if found != HEAD:
        raise SchemaError(
            f"The database's tables are at {found or 'no version'}, this program needs {HEAD}; "
            "run `meterway db upgrade`."
        )
