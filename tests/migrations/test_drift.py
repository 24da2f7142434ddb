"""The migrations make exactly the tables the code declares, on both engines."""

import asyncio
import runpy
from importlib.resources import files

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from meterway.accounts import service as accounts
from meterway.accounts import tables as _accounts  # noqa: F401 - declares tables
from meterway.catalog import tables as _catalog  # noqa: F401 - declares tables
from meterway.db import schema
from meterway.db.engine import open_engine, reading, transaction
from meterway.db.errors import SchemaError
from meterway.db.metadata import metadata
from meterway.idempotency import tables as _idempotency  # noqa: F401 - declares tables
from meterway.jobs import tables as _jobs  # noqa: F401 - declares tables
from meterway.keys import service as keys
from meterway.keys import tables as _keys  # noqa: F401 - declares tables
from meterway.ledger.books import tables as _books  # noqa: F401 - declares tables
from meterway.ledger.budgets import tables as _budgets  # noqa: F401 - declares tables
from meterway.ledger.charges import tables as _charges  # noqa: F401 - declares tables
from meterway.ledger.codes import tables as _codes  # noqa: F401 - declares tables
from meterway.ledger.gifts import tables as _gifts  # noqa: F401 - declares tables
from meterway.ledger.journal import tables as _journal  # noqa: F401 - declares tables
from meterway.ledger.seals import tables as _seals  # noqa: F401 - declares tables
from meterway.routing import tables as _routing  # noqa: F401 - declares tables
from meterway.threads import tables as _threads  # noqa: F401 - declares tables
from tests.factories.databases import sqlite_url


def _differences(connection):
    options = {"compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_migrations_make_the_declared_tables(engine):
    async with reading(engine) as connection:
        differences = await connection.run_sync(_differences)

    assert differences == []


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "meterway:migrations")

    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


@pytest.fixture
async def url(request, tmp_path, empty_postgres):
    return empty_postgres if request.param == "postgres" else sqlite_url(tmp_path / "new.db")


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_starts_at_the_same_moment_migrate_once(url):
    engines = [open_engine(url) for _ in range(4)]

    changed = await asyncio.gather(*(schema.upgrade(engine) for engine in engines))

    assert sorted(changed) == [False, False, False, True]
    for engine in engines:
        await engine.dispose()


def _migrate_to(connection, revision):
    config = Config()
    config.set_main_option("script_location", "meterway:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_users_and_keys_of_an_older_program_keep_what_they_ask_for(url):
    engine = open_engine(url)
    async with transaction(engine) as tx:
        await tx.run_sync(_migrate_to, "0003")
        await tx.exec_driver_sql(
            "INSERT INTO users (id, email, password_hash, is_admin, postpaid, disabled, created_at)"
            " VALUES (1, 'a@b', 'x', false, false, false, 0)"
        )
        await tx.exec_driver_sql(
            "INSERT INTO keys (id, user_id, hash, shown, remark, is_admin, disabled, created_at)"
            " VALUES (1, 1, CAST('h' AS " + ("BYTEA" if "postgres" in url else "BLOB") + "), "
            "'sk-', '', false, false, 0)"
        )

    assert await schema.upgrade(engine)

    async with reading(engine) as connection:
        user = await accounts.by_id(connection, 1)
        key = await keys.by_id(connection, 1)
    assert user is not None
    assert key is not None
    assert not user.zero_retention
    assert not key.zero_retention
    await engine.dispose()


async def test_database_of_a_newer_program_is_left_alone(sqlite):
    async with transaction(sqlite) as tx:
        await tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaError, match="9999"):
        await schema.upgrade(sqlite)

    async with reading(sqlite) as connection:
        assert await schema.current(connection) == "9999"


async def test_outdated_tables_are_named_with_the_way_out(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "new.db"))

    async with reading(engine) as connection:
        with pytest.raises(SchemaError, match="meterway db upgrade"):
            await schema.require_head(connection)

    await engine.dispose()


def test_migrations_do_not_follow_later_changes_of_the_code():
    for module in files("meterway.migrations.versions").iterdir():
        if module.name.endswith(".py"):
            values = runpy.run_path(str(module)).values()

            origins = [str(getattr(value, "__module__", "")) for value in values]
            assert not [origin for origin in origins if origin.startswith("meterway")]
