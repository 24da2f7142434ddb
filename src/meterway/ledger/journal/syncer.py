"""Bringing to the disk what workers write, from beside them: so none of them waits for a thread.

The pages of a shared mapping are the file's, whoever wrote them: `fdatasync` of any process brings
them to the disk.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import structlog

from meterway.kit.clock import Clock
from meterway.ledger.journal import layout, service
from meterway.ledger.journal.layout import START, to_disk
from meterway.ledger.journal.reader import JournalReader
from meterway.ledger.journal.types import Cursor

EVERY: Final = 0.02
"""Seconds between two looks: what the end of the machine may cost."""

_AT_ONCE: Final = 1000
_log = structlog.get_logger()


class Syncer:
    """Syncs the journals in one folder, their workers' dead or alive; one runs on a machine.

    A disk that fails is told of once, until it works again: the calls were served, and are charged
    unless the machine ends too.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._readers: dict[str, JournalReader] = {}
        self._failing = False

    async def run(self) -> None:
        """Sync for ever what is new, 20 ms after it was written at the latest."""
        while True:
            await self._clock.sleep(EVERY)
            await self.turn()

    async def turn(self) -> bool:
        """Sync what is new in all journals; return whether something was and is on the disk."""
        self._look_around()
        new = [reader for reader in self._readers.values() if reader.has_more()]
        if not new:
            return False
        try:
            await asyncio.to_thread(_sync_all, new)
        except OSError as error:
            if not self._failing:
                _log.error("journal.not_synced", error=str(error))
            self._failing = True
            return False
        self._failing = False
        return True

    def close(self) -> None:
        """Let go of all journals."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _look_around(self) -> None:
        """Follow the journals that are there, each from its first segment on."""
        present = service.present(self._folder)
        for name in self._readers.keys() - present:
            self._readers.pop(name).close()
        for name in present - self._readers.keys():
            self._readers[name] = JournalReader(self._folder / name)
        for reader in self._readers.values():
            if not layout.segment_path(reader.folder, reader.cursor.segment).exists():
                reader.back_to(_first(reader.folder, reader.cursor))


def _first(folder: Path, after: Cursor) -> Cursor:
    """Return the beginning of what is left of a journal whose segments go as they are posted."""
    numbers = [int(path.stem) for path in folder.glob("*.segment")]
    return Cursor(min(numbers), START) if numbers else after


def _sync_all(readers: list[JournalReader]) -> None:
    for reader in readers:
        before = reader.cursor
        while reader.read(_AT_ONCE):
            pass
        if reader.cursor == before:  # the last record is being written, or its worker is gone
            continue
        try:
            for number in range(before.segment, reader.cursor.segment + 1):
                _sync(layout.segment_path(reader.folder, number))
        except OSError:
            reader.back_to(before)
            raise


def _sync(path: Path) -> None:
    """Sync a segment; one that is gone was posted, and that is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        to_disk(descriptor)
    finally:
        os.close(descriptor)
