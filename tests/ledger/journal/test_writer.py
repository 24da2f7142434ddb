"""Writing a journal: room is there before it is needed, and what is written is read."""

import errno
import os
import random

import pytest

from meterway.ledger.journal.errors import JournalFullError, JournalTakenError
from meterway.ledger.journal.layout import END_MARK, HEADER, MAX_RECORD, SLOT, START
from meterway.ledger.journal.reader import JournalReader
from meterway.ledger.journal.types import Cursor
from meterway.ledger.journal.writer import Journal

ROOM_OF = 3
SEGMENT = START + ROOM_OF * SLOT + len(END_MARK)
RECORD = b"r" * 100


class Disk:
    """A disk that gives so many segments and no more."""

    def __init__(self, segments):
        self.segments = segments

    def allocate(self, descriptor, position, length):
        if not self.segments:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.segments -= 1
        os.posix_fallocate(descriptor, position, length)


@pytest.fixture
def open_journal(tmp_path):
    opened = []

    def make(name="w", disk=None, segment_bytes=SEGMENT):
        allocate = (disk or Disk(1000)).allocate
        journal = Journal.open(tmp_path, name, segment_bytes, allocate)
        opened.append(journal)
        return journal

    yield make
    for journal in opened:
        journal.close()


def _write(journal, *records):
    for record in records:
        journal.reserve()
        journal.write(record)


def _records(folder):
    reader = JournalReader(folder)
    found = reader.read(100_000)
    reader.close()
    return found


def test_what_is_written_is_read_in_its_order(open_journal, tmp_path):
    random.seed(1)
    records = [random.randbytes(random.randint(1, MAX_RECORD)) for _ in range(200)]

    _write(open_journal(), *records)

    assert _records(tmp_path / "w") == records


def test_only_its_owner_may_read_it(open_journal, tmp_path):
    _write(open_journal(), RECORD)

    folder = tmp_path / "w"

    modes = {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())}
    assert modes == {0}


def test_reading_goes_on_from_the_place_behind_a_record(open_journal, tmp_path):
    _write(open_journal(), b"a", b"bc", *[b"x" * MAX_RECORD] * ROOM_OF)
    reader, found, behind = JournalReader(tmp_path / "w"), [], []

    while record := reader.read(1):
        found += record
        behind.append(reader.cursor)

    assert [cursor.segment for cursor in behind] == [1, 1, 1, 1, 2]
    assert behind[1] == Cursor(1, START + 2 * HEADER.size + 3)
    reader.back_to(behind[0])
    assert reader.read(100) == found[1:]
    reader.close()


@pytest.mark.parametrize("record", [b"", b"x" * (MAX_RECORD + 1)])
def test_record_of_no_or_too_many_bytes_is_refused(open_journal, record):
    journal = open_journal()
    journal.reserve()

    with pytest.raises(ValueError, match="between 1 and"):
        journal.write(record)


def test_room_is_reserved_on_the_disk_before_anything_is_written(open_journal, tmp_path):
    open_journal(segment_bytes=64 * 4096)

    first = (tmp_path / "w" / "00000001.segment").stat()

    assert first.st_blocks * 512 >= first.st_size == 64 * 4096


def test_full_disk_refuses_the_reservation_and_not_the_writing(open_journal, tmp_path):
    journal = open_journal(disk=Disk(2))
    longest = b"x" * MAX_RECORD
    for _ in range(2 * ROOM_OF):
        journal.reserve()

    with pytest.raises(JournalFullError) as refused:
        journal.reserve()

    assert (refused.value.status, refused.value.retry_after) == (503, 5.0)
    assert "free space" in refused.value.message
    for _ in range(2 * ROOM_OF):
        journal.write(longest)
    assert _records(tmp_path / "w") == [longest] * 2 * ROOM_OF


def test_room_that_is_released_is_there_for_others(open_journal):
    journal = open_journal(disk=Disk(2))
    for _ in range(2 * ROOM_OF):
        journal.reserve()

    journal.release()

    journal.reserve()


def test_full_disk_recovers_by_itself(open_journal):
    disk = Disk(2)
    journal = open_journal(disk=disk)
    for _ in range(2 * ROOM_OF):
        journal.reserve()
    with pytest.raises(JournalFullError):
        journal.reserve()

    disk.segments = 1

    journal.reserve()


def test_reserved_room_suffices_whatever_the_lengths(open_journal, tmp_path):
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    journal, written, reserved = open_journal(), [], 0

    for _ in range(3000):
        if not reserved or (reserved < 20 and chance.random() < 0.5):
            journal.reserve()
            reserved += 1
        else:
            written.append(chance.randbytes(chance.choice((1, 50, 4000, MAX_RECORD))))
            journal.write(written[-1])
            reserved -= 1

    assert _records(tmp_path / "w") == written, seed


async def test_next_segment_is_there_before_it_is_needed(open_journal, tmp_path):
    disk = Disk(2)
    journal = open_journal(disk=disk)
    _write(journal, *[b"x" * MAX_RECORD] * (ROOM_OF + 1))
    disk.segments = 1
    assert journal.dirty

    await journal.sync()

    assert not journal.dirty
    assert (tmp_path / "w" / "00000003.segment").exists()


async def test_a_journal_that_is_prepared_is_short_of_nothing(open_journal, tmp_path):
    journal = open_journal()
    _write(journal, *[b"x" * MAX_RECORD] * (ROOM_OF + 1))
    assert journal.is_short

    await journal.prepare()

    assert not journal.is_short
    assert journal.dirty  # what was written is another's to sync
    assert len(list((tmp_path / "w").glob("*.segment"))) == 3


async def test_a_full_disk_is_told_by_the_call_that_needs_the_room(open_journal):
    journal = open_journal(disk=Disk(2))
    _write(journal, *[b"x" * MAX_RECORD] * (ROOM_OF + 1))

    await journal.prepare()
    for _ in range(ROOM_OF - 1):
        journal.reserve()

    assert journal.is_short
    with pytest.raises(JournalFullError):
        journal.reserve()


async def test_only_what_was_written_since_is_dirty(open_journal):
    journal = open_journal()
    before = journal.dirty
    _write(journal, RECORD)
    written = journal.dirty

    await journal.sync()

    assert (before, written, journal.dirty) == (False, True, False)


async def test_writing_goes_on_while_the_disk_works(open_journal, tmp_path):
    journal = open_journal()
    _write(journal, *[b"x" * MAX_RECORD] * ROOM_OF)

    syncing = journal.sync()
    _write(journal, *[b"y" * MAX_RECORD] * (2 * ROOM_OF))
    await syncing
    await journal.sync()

    assert len(_records(tmp_path / "w")) == 3 * ROOM_OF


@pytest.mark.parametrize("segments", [0, 1])
def test_full_disk_at_the_start_leaves_nothing_and_recovers_by_itself(tmp_path, segments):
    disk = Disk(segments)
    for _ in range(2):
        with pytest.raises(JournalFullError) as refused:
            Journal.open(tmp_path, "w", SEGMENT, disk.allocate)
        assert list(tmp_path.iterdir()) == []
        assert refused.value.retry_after

    disk.segments = 10
    journal = Journal.open(tmp_path, "w", SEGMENT, disk.allocate)
    _write(journal, RECORD)
    journal.close()

    assert _records(tmp_path / "w") == [RECORD]


def test_draft_that_was_left_behind_is_no_obstacle(tmp_path):
    (tmp_path / f".w.{os.getpid()}").mkdir()

    Journal.open(tmp_path, "w", SEGMENT).close()

    assert (tmp_path / "w").exists()


def test_every_journal_has_a_name_of_its_own(open_journal, tmp_path):
    journal = open_journal()
    _write(journal, RECORD)

    with pytest.raises(JournalTakenError):
        open_journal()

    assert _records(tmp_path / "w") == [RECORD]


def test_segment_that_holds_no_record_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no record"):
        Journal.open(tmp_path, "w", SLOT)
