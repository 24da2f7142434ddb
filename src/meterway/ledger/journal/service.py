"""What the database knows of journals, and the name of the folder they lie in."""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.kit.ids import random_text
from meterway.ledger.journal import store
from meterway.ledger.journal.errors import JournalFullError, JournalMovedError
from meterway.ledger.journal.reader import BEGINNING
from meterway.ledger.journal.types import Cursor, Place, Registered

_PLACE = "place"
_PLACE_LENGTH = 20


def place_of(folder: Path) -> str:
    """Return the name of a folder of journals, made at its first use and kept in it.

    Copies of the folder keep the name: a restored one stands for the lost one. Raises
    `JournalFullError` where the disk does not give it a name.
    """
    file = folder / _PLACE
    try:
        if not file.exists():
            _name_place(file)
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise JournalFullError.of(error) from error


def _name_place(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{_PLACE}.{os.getpid()}")
    try:
        draft.write_text(random_text(_PLACE_LENGTH), encoding="ascii")
        with suppress(FileExistsError):  # another process was faster
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def look(folder: Path) -> Place:
    """Return what lies in a folder of journals; one that was never used has no name."""
    file = folder / _PLACE
    return Place(file.read_text(encoding="ascii") if file.exists() else None, present(folder))


def present(folder: Path) -> frozenset[str]:
    """Return the names of the journals in a folder; none where there is no folder (yet)."""
    try:
        with os.scandir(folder) as found:
            return frozenset(
                one.name for one in found if not one.name.startswith(".") and one.is_dir()
            )
    except FileNotFoundError:
        return frozenset()


async def register(tx: AsyncConnection, name: str, place: str, at: float) -> int:
    """Make a journal known and return its number; leases belong to it. `at` in seconds."""
    return await store.add(tx, name, place, BEGINNING, at)


async def named(connection: AsyncConnection, names: Collection[str]) -> dict[str, Registered]:
    """Return those of the named journals that are registered, by name."""
    return {one.name: one for one in await store.named(connection, sorted(names))}


async def unclosed(connection: AsyncConnection) -> list[Registered]:
    """Return every journal that may hold leases, oldest first."""
    return await store.unclosed(connection)


async def advance(tx: AsyncConnection, journal_id: int, before: Cursor, after: Cursor) -> None:
    """Say that a journal is posted up to `after`, which was so up to `before`.

    Raises `JournalMovedError` where that is not so: another settler was faster.
    """
    if not await store.move(tx, journal_id, before, after):
        raise _moved(journal_id)


async def close(tx: AsyncConnection, journal_id: int, at: float) -> None:
    """Say that a journal is posted to its end and holds no lease.

    Raises `JournalMovedError` where it is closed already.
    """
    if not await store.close(tx, journal_id, at):
        raise _moved(journal_id)


def _moved(journal_id: int) -> JournalMovedError:
    return JournalMovedError(
        f"Journal {journal_id} was posted by another settler; look again.", retry_after=1.0
    )
