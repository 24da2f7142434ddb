"""Waiting for the disk together: nobody is told too early, and one writing serves many."""

import asyncio

from meterway.kit.tasks import Tasks
from meterway.ledger.journal.group import GroupCommit
from meterway.ledger.journal.writer import Journal


class Disk:
    """A disk that takes as long as a test lets it; `begun` counts its writings."""

    def __init__(self) -> None:
        self.begun = 0
        self.broken = False
        self.gate = asyncio.Event()

    async def sync(self) -> None:
        self.begun += 1
        await self.gate.wait()
        if self.broken:
            raise RuntimeError("broken")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_while_the_disk_works_waits_for_the_next_writing():
    disk, tasks = Disk(), Tasks()
    group = GroupCommit(disk.sync, tasks)
    early = asyncio.create_task(group.wait())
    await settled()
    late = [asyncio.create_task(group.wait()) for _ in range(50)]
    await settled()
    begun = disk.begun

    disk.gate.set()
    await asyncio.gather(early, *late)

    assert (begun, disk.begun) == (1, 2)
    await tasks.drain()


async def test_who_leaves_takes_nobody_along():
    disk, tasks = Disk(), Tasks()
    group = GroupCommit(disk.sync, tasks)
    leaving, staying = (asyncio.create_task(group.wait()) for _ in range(2))
    await settled()

    leaving.cancel()
    disk.gate.set()
    await staying

    assert leaving.cancelled() or leaving.cancelling()
    await tasks.drain()


async def test_a_later_wait_begins_anew():
    disk, tasks = Disk(), Tasks()
    disk.gate.set()
    group = GroupCommit(disk.sync, tasks)

    await group.wait()
    await group.wait()

    assert disk.begun == 2
    await tasks.drain()


async def test_nobody_waits_for_ever_for_a_worker_that_ends():
    disk, tasks = Disk(), Tasks()
    group = GroupCommit(disk.sync, tasks)
    first = asyncio.create_task(group.wait())
    await settled()
    second = asyncio.create_task(group.wait())
    await settled()

    await tasks.cancel()
    await asyncio.wait([first, second])

    assert second.cancelled()


async def test_a_journal_has_nothing_left_to_write_after_it(tmp_path):
    journal, tasks = Journal.open(tmp_path, "w", segment_bytes=1 << 16), Tasks()
    group = GroupCommit(journal.sync, tasks)
    journal.reserve()
    journal.write(b"record")

    await group.wait()

    assert not journal.dirty
    await tasks.drain()
    journal.close()
