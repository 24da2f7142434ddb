"""Syncing from beside the writers: what is new, once, wherever it lies."""

import errno
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from meterway.ledger.journal import layout, syncer
from meterway.ledger.journal.layout import END_MARK, HEADER, SLOT, START, framed
from meterway.ledger.journal.syncer import Syncer
from meterway.ledger.journal.writer import Journal
from tests.fakes.clock import FakeClock

SEGMENT = START + 2 * SLOT + len(END_MARK)


class Disk:
    """Notes which files are brought to it."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.broken = False

    def sync(self, descriptor: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "the disk is broken")
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.synced.append(f"{path.parent.name}/{path.stem}")

    def take(self) -> list[str]:
        synced, self.synced = self.synced, []
        return synced


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(syncer, "to_disk", disk.sync)
    return disk


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journals"


@pytest.fixture
def new_syncer(folder):
    made: list[Syncer] = []

    def new() -> Syncer:
        made.append(Syncer(folder, FakeClock(0.0)))
        return made[-1]

    yield new
    for one in made:
        one.close()


@pytest.fixture
def open_journal(folder):
    made: list[Journal] = []

    def opened(name: str = "w") -> Journal:
        made.append(Journal.open(folder, name, SEGMENT))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def _write(journal: Journal, *records: bytes) -> None:
    for record in records:
        journal.reserve()
        journal.write(record)


def test_there_is_nothing_to_do_before_the_first_journal(new_syncer, disk):
    assert not new_syncer().turn()
    assert disk.take() == []


def test_what_is_new_is_synced_once(new_syncer, open_journal, disk):
    beside, journal = new_syncer(), open_journal()
    turns = [beside.turn()]
    _write(journal, b"a", b"b")
    turns += [beside.turn(), beside.turn()]
    _write(journal, b"c")
    turns.append(beside.turn())

    assert turns == [0, 1, 0, 1]
    assert disk.take() == ["w/00000001", "w/00000001"]


def test_every_journal_is_followed_and_one_that_goes_is_forgotten(
    new_syncer, open_journal, folder, disk
):
    beside = new_syncer()
    for name in ("v", "w"):
        _write(open_journal(name), name.encode())

    assert beside.turn()
    assert sorted(disk.take()) == ["v/00000001", "w/00000001"]

    for path in (folder / "v").iterdir():
        path.unlink()
    (folder / "v").rmdir()
    assert not beside.turn()


async def test_a_full_segment_is_synced_before_the_next_one(new_syncer, open_journal, disk):
    beside, journal = new_syncer(), open_journal()
    longest = b"x" * layout.MAX_RECORD
    _write(journal, longest)
    beside.turn()
    disk.take()

    _write(journal, longest, longest)
    await journal.prepare()  # and so the full one is not open any more
    beside.turn()

    assert disk.take() == ["w/00000001", "w/00000002"]


async def test_segments_that_were_posted_are_passed_over(new_syncer, open_journal, folder, disk):
    early, journal = new_syncer(), open_journal()
    longest = b"x" * layout.MAX_RECORD
    _write(journal, b"a")
    early.turn()
    _write(journal, *[longest] * 4)
    await journal.prepare()
    for number in (1, 2):
        layout.segment_path(folder / "w", number).unlink()
    disk.take()

    for one in (early, new_syncer()):
        assert one.turn()
        assert disk.take() == ["w/00000003"]
        assert not one.turn()


def test_a_torn_record_is_left_to_whoever_buries_its_worker(new_syncer, open_journal, folder, disk):
    beside, journal = new_syncer(), open_journal()
    _write(journal, b"whole")
    path = layout.segment_path(folder / "w", 1)
    at = START + HEADER.size + len(b"whole")
    torn = framed(b"torn")[:-1]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(torn)

    beside.turn()
    beside.turn()

    assert disk.take() == ["w/00000001"]


def test_a_disk_that_fails_is_told_once_and_tried_again(new_syncer, open_journal, disk):
    beside, journal = new_syncer(), open_journal()
    _write(journal, b"a")
    disk.broken = True

    with capture_logs() as events:
        failed = [beside.turn(), beside.turn()]
    disk.broken = False

    assert failed == [0, 0]
    assert [event["event"] for event in events] == ["journal.not_synced"]
    assert beside.turn()
    assert disk.take() == ["w/00000001"]


def test_a_journal_that_cannot_be_synced_keeps_no_other(new_syncer, open_journal, folder, disk):
    (folder / "v").mkdir(parents=True)
    (folder / "v" / "odd.segment").touch()
    beside = new_syncer()
    _write(open_journal(), b"a")

    with capture_logs() as events:
        assert beside.turn() == 1

    assert disk.take() == ["w/00000001"]
    assert [(event["event"], event["journal"]) for event in events] == [("journal.not_synced", "v")]


class Ending:
    """Is set after so many waits."""

    def __init__(self, waits: int) -> None:
        self.waits = waits
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) > self.waits


def test_it_looks_every_20_ms_until_the_end(new_syncer, open_journal, disk):
    ending: Any = Ending(3)
    _write(open_journal(), b"a")

    new_syncer().run(ending)

    assert ending.seconds == [0.02] * 4
    assert disk.take() == ["w/00000001"]
