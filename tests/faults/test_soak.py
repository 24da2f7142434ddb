"""A gateway sells for minutes, and nothing grows: memory, open files, threads, journals, leases."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from meterway.bench import processes
from tests.faults.conftest import SHORT
from tests.faults.shop import Shop, until_ended

_SECONDS = float(os.environ.get("FAULTS_SOAK") or (15 if SHORT else 600))
_WARM = 2000  # calls until caches, pools and buffers have their sizes
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Size:
    """What a process takes; `memory` is its own, without journals it has mapped, in bytes."""

    memory: int
    files: int
    threads: int


def _size(pid: int) -> Size:
    place = Path(f"/proc/{pid}")
    lines = (place / "status").read_text().splitlines()
    (kilobytes,) = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
    threads = len(list((place / "task").iterdir()))
    return Size(kilobytes * 1024, len(list((place / "fd").iterdir())), threads)


def _sizes(shop: Shop) -> dict[str, Size]:
    parent = shop.gateway.pid
    assert parent is not None
    family = processes.descendants(parent)
    return {processes.command_line(pid).split("\0")[0].strip(): _size(pid) for pid in family}


def _journals(shop: Shop) -> int:
    """Return the bytes of all journals, of which workers keep a few segments each."""
    return sum(file.stat().st_blocks * 512 for file in shop.gateway.journals.rglob("*.segment"))


async def test_nothing_grows_while_it_sells(open_shop):
    shop = open_shop("1000")
    shop.gateway.start()
    async with shop.crowd(8) as crowd:
        await until_ended(crowd, _WARM)
        before, journals = _sizes(shop), _journals(shop)
        await asyncio.sleep(_SECONDS)
        after, journals_after = _sizes(shop), _journals(shop)
    await asyncio.to_thread(shop.settled)
    calls = sum(len(sold.ended) for sold in crowd)
    print(calls, _SECONDS, before, after, journals, journals_after)  # noqa: T201 - pytest shows it with a failure

    assert before.keys() == after.keys()
    for name, was in before.items():
        now = after[name]
        assert now.memory - was.memory < 8 * _MEGABYTE, name
        assert now.files - was.files <= 8, name
        assert now.threads - was.threads <= 2, name
    assert journals_after <= journals + 16 * _MEGABYTE
    assert {call for sold in crowd for call in sold.ended} <= shop.charged().keys()
    assert shop.balance() == shop.available()
    shop.verify()
