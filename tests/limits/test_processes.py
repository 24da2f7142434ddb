"""One count for all workers of a machine, by real processes that are killed and stopped."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from meterway.limits.store import SharedCounts, create
from meterway.limits.types import SECOND, Kind, Limit, Subject, bound

NOW = 5_000_000 * SECOND
WORKERS = 4
WORKER = """
import asyncio, sys
from pathlib import Path
from meterway.limits.store import SharedCounts
from meterway.limits.types import Kind, Limit, Subject, bound

path, column, now, kind, most, times = sys.argv[1:]
counts = SharedCounts(Path(path), int(column))
bounds = [bound(Subject(Kind.KEY, int(column)), Limit(requests=10**6)),
          bound(Subject(Kind.USER, 1), Limit(**{kind: int(most)}))]

async def admitted():
    takes = [await counts.take(bounds, 1, int(now)) for _ in range(int(times))]
    return sum(taken.refused is None for taken in takes)

print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(admitted()), flush=True)
sys.stdin.readline()
"""
HOLDER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    create(tmp_path / "limits", columns=WORKERS)
    return tmp_path / "limits"


@pytest.fixture
def start(path):
    with ExitStack() as stack:

        def run(code, *args):
            command = [sys.executable, "-c", code, str(path), *map(str, args)]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


def go(*workers):
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [int(worker.stdout.readline()) for worker in workers]


async def free(path, most):
    counts = SharedCounts(path, None)
    one = [bound(Subject(Kind.USER, 1), Limit(concurrency=most))]
    takes = [await counts.take(one, 1, NOW) for _ in range(most + 1)]
    counts.close()
    return sum(taken.refused is None for taken in takes)


@pytest.mark.parametrize("kind", ["requests", "tokens", "concurrency"])
def test_workers_that_hammer_one_limit_admit_exactly_as_many_as_it_says(start, kind):
    workers = [start(WORKER, column, NOW, kind, 3_001, 2_500) for column in range(WORKERS)]

    admitted = go(*workers)

    assert sum(admitted) == 3_001


async def test_what_a_killed_worker_had_running_is_free_once_its_column_is_forgotten(start, path):
    dead, alive = (
        start(WORKER, 0, NOW, "concurrency", 10, 6),
        start(WORKER, 1, NOW, "concurrency", 10, 3),
    )
    assert go(dead, alive) == [6, 3]
    dead.kill()
    dead.wait()
    parent = SharedCounts(path, None)

    parent.forget(0)

    parent.close()
    assert await free(path, 10) == 7


def test_a_lock_dies_with_its_holder(start):
    holder = start(HOLDER)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    workers = [start(WORKER, column, NOW, "requests", 100, 90) for column in range(2)]

    assert sum(go(*workers)) == 100


async def test_a_worker_stopped_while_it_decides_stops_no_other(start, path):
    holder = start(HOLDER)
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGSTOP)

    (admitted,) = go(start(WORKER, 0, NOW, "requests", 5, 50))

    assert admitted == 50  # nobody is given a cell meanwhile, so nobody is refused
