"""Tests of starting, pinning, reading and ending child processes."""

import asyncio
import os
import signal
import sys

from meterway.bench import processes

FAMILY = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(child.pid, flush=True); {ignore}"
    "time.sleep(60)"
)
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"


def alive(pid: int) -> bool:
    stat = processes._stat(pid)
    return stat is not None and stat[0] != "Z"


async def family(log, ignore: str = "") -> tuple[asyncio.subprocess.Process, int]:
    command = [sys.executable, "-c", FAMILY.format(ignore=ignore)]
    cores = processes.choose_cores().measured
    process = await processes.start(command, cores, log=log, answers=True)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    if ignore:
        await process.stdout.readline()
    return process, child


async def test_stopping_ends_grandchildren_too(tmp_path):
    process, child = await family(tmp_path / "log")
    seen = set(processes.descendants(process.pid))

    await processes.stop(process)

    assert seen == {process.pid, child}
    assert process.returncode == -signal.SIGTERM
    await gone(child)


async def test_a_process_deaf_to_termination_is_killed(tmp_path):
    process, child = await family(tmp_path / "log", ignore=IGNORE)

    await processes.stop(process, patience=0.05)

    assert process.returncode == -signal.SIGKILL
    await gone(child)


async def test_stopping_what_has_ended_is_nothing(tmp_path):
    process = await processes.start(
        [sys.executable, "-c", ""], processes.choose_cores().load, log=tmp_path / "log"
    )
    await process.wait()

    await processes.stop(process)

    assert process.returncode == 0


async def test_children_are_born_on_their_core_and_we_stay_on_ours(tmp_path):
    before = os.sched_getaffinity(0)
    core = processes.choose_cores().measured
    code = "import os; print(sorted(os.sched_getaffinity(0)))"

    process = await processes.start(
        [sys.executable, "-c", code], core, log=tmp_path / "log", answers=True
    )
    output, _ = await process.communicate()

    assert output.decode().strip() == str(sorted(core))
    assert os.sched_getaffinity(0) == before


async def test_a_child_has_its_own_session_and_speaks_into_the_log(tmp_path):
    code = "import os, sys; print(os.getsid(0) == os.getpid()); print('oh', file=sys.stderr)"
    core = processes.choose_cores().load

    process = await processes.start([sys.executable, "-c", code], core, log=tmp_path / "log")
    await process.wait()

    assert sorted((tmp_path / "log").read_text().split()) == ["True", "oh"]


def test_processor_time_and_memory_of_ourselves_are_counted():
    before = processes.cpu_seconds(os.getpid())

    sum(range(300_000))

    assert processes.cpu_seconds(os.getpid()) > before > 0
    peak = processes.resident_bytes(os.getpid(), "VmHWM")
    assert peak >= processes.resident_bytes(os.getpid()) > 5_000_000
    assert "python" in processes.command_line(os.getpid())


async def test_a_process_that_is_gone_counts_nothing(tmp_path):
    core = processes.choose_cores().load
    process = await processes.start([sys.executable, "-c", ""], core, log=tmp_path / "log")
    await process.wait()

    assert processes.cpu_seconds(process.pid) == 0
    assert processes.resident_bytes(process.pid) == 0
    assert processes.command_line(process.pid) == ""
    assert processes.descendants(process.pid) == {}


async def test_released_processes_may_use_other_cores(tmp_path):
    everywhere = frozenset(os.sched_getaffinity(0))
    process, child = await family(tmp_path / "log")

    processes.release(process.pid, everywhere)
    cores = os.sched_getaffinity(process.pid)
    await processes.stop(process)

    assert cores == everywhere
    await gone(child)


def test_measured_core_is_apart_from_the_load_where_there_are_two():
    cores = processes.choose_cores()

    assert len(cores.measured) == 1
    assert cores.shared is (len(os.sched_getaffinity(0)) == 1)
    assert cores.measured | cores.load == os.sched_getaffinity(0)


async def gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while alive(pid):  # noqa: ASYNC110 - the kernel sends no event
            await asyncio.sleep(0)
