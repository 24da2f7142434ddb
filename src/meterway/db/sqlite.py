"""Connections to a SQLite file, set up for many processes and closed without a trace."""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import aiosqlite

_PRAGMAS = (
    # of a file that is new: replies of some KB share a page, and a commit writes few pages
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
)
_ROWS_AT_ONCE = 64
T = TypeVar("T")


class FileConnection(aiosqlite.Connection):
    """A connection whose thread can be waited for, also where it never opened."""

    stopping: "asyncio.Future[None] | None" = None

    def stop(self) -> "asyncio.Future[None] | None":
        """End the thread after what is queued."""
        self.stopping = super().stop()
        return self.stopping

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction of its own: one message to the thread for all of it."""
        done: T = await self._execute(_transact, self._conn, work)  # type: ignore[no-untyped-call]  # its package leaves that out
        return done


class _File(sqlite3.Connection):
    """A connection that gives up its transaction when it is closed.

    SQLite keeps a closed connection, and its locks, for as long as an answer of it is half read;
    one that was cut off by a cancelled task stays half read until garbage is collected.
    """

    def close(self) -> None:
        """Undo what is not committed, and close."""
        if self.in_transaction:
            self.rollback()
        super().close()


async def open_file(path: str, busy_timeout: float) -> FileConnection:
    """Open a file; it is made where it is missing. `busy_timeout` is in seconds.

    Raises `sqlite3.Error`; its thread has ended then, so that the loop may be closed.
    """
    connection = FileConnection(partial(_opened, path, busy_timeout), _ROWS_AT_ONCE)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does: an exit waits for nobody
    try:
        await connection
    except BaseException:
        if connection.stopping is not None:
            await asyncio.wait([connection.stopping])
        raise
    return connection


def _transact(file: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    file.execute("BEGIN IMMEDIATE")
    try:
        result = work(file)
        file.commit()
    except BaseException:
        file.rollback()
        raise
    return result


def _opened(path: str, busy_timeout: float) -> sqlite3.Connection:
    """Open and set up; transactions are begun by us, the driver's own come late and weak."""
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, factory=_File)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection
