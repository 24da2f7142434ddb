"""Bringing to the disk what workers write, from beside them: so none of them waits for a thread.

The pages of a shared mapping are the file's, whoever wrote them: `fdatasync` of any process brings
them to the disk.
"""

import os
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from meterway.kit.clock import Clock
from meterway.ledger.journal import layout, service
from meterway.ledger.journal.layout import SLOT, START, to_disk
from meterway.ledger.journal.reader import JournalReader
from meterway.ledger.journal.types import Cursor

EVERY: Final = 0.02
"""Seconds between two looks: what the end of the machine may cost."""

_AT_ONCE: Final = 1000
_BLOCK: Final = 2 * SLOT  # there is little to read, and the processor's cache is the workers'
_LOOK: Final = 0.5  # seconds after which nobody relies on how fine a folder's time is
_log = structlog.get_logger()


class Syncer:
    """Syncs the journals in one folder, their workers' dead or alive; one runs on a machine.

    It has a thread of its own, in which `run` is all that happens: a look costs microseconds there,
    and a disk that is slow keeps nobody else. A disk that fails is told of once, until it works
    again: the calls were served, and are charged unless the machine ends too.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._readers: dict[str, JournalReader] = {}
        self._changed = 0
        self._look_at = clock.monotonic()
        self._failing: set[str] = set()

    def run(self, ending: Event) -> None:
        """Sync what is new, 20 ms after it was written at the latest, until `ending` is set."""
        while not ending.wait(EVERY):
            self.turn()
        self.close()

    def turn(self) -> int:
        """Sync what is new in all journals; return in how many something was and is on the disk."""
        self._look_around()
        return sum([self._sync(name, reader) for name, reader in self._readers.items()])

    def _sync(self, name: str, reader: JournalReader) -> bool:
        try:
            synced = (reader.has_more() or _passes_posted(reader)) and _sync_on(reader)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a journal is its own
            if name not in self._failing:
                _log.error("journal.not_synced", journal=name, error=str(error))
            self._failing.add(name)
            return False
        self._failing.discard(name)
        return synced

    def close(self) -> None:
        """Let go of all journals."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _look_around(self) -> None:
        """Follow the journals that are there; the folder tells when some came or went."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed = 0
        now = self._clock.monotonic()
        if changed == self._changed and now < self._look_at:
            return
        self._changed, self._look_at = changed, now + _LOOK
        present = service.present(self._folder)
        for name in self._readers.keys() - present:
            self._readers.pop(name).close()
            self._failing.discard(name)
        for name in present - self._readers.keys():
            self._readers[name] = JournalReader(self._folder / name, block=_BLOCK)


def _passes_posted(reader: JournalReader) -> bool:
    """Move on to what is left of a journal, whose segments go as they are posted, if it moved."""
    if reader.is_there():
        return False
    before, numbers = reader.cursor, [int(one.stem) for one in reader.folder.glob("*.segment")]
    if numbers:
        reader.back_to(Cursor(min(numbers), START))
    return reader.cursor != before


def _sync_on(reader: JournalReader) -> bool:
    """Sync a journal from where that was done last; say whether there was a whole record."""
    before = reader.cursor
    while reader.read(_AT_ONCE) or _passes_posted(reader):
        pass
    if reader.cursor == before:  # the last record is being written, or its worker is gone
        return False
    try:
        for number in range(before.segment, reader.cursor.segment):
            _sync_segment(layout.segment_path(reader.folder, number))
        if reader.descriptor is not None:
            to_disk(reader.descriptor)
    except OSError:
        reader.back_to(before)
        raise
    return True


def _sync_segment(path: Path) -> None:
    """Sync a segment; one that is gone was posted, and that is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        to_disk(descriptor)
    finally:
        os.close(descriptor)
