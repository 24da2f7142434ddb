"""Child processes and what the kernel says of them: processor time, memory, the core they may use.

Linux only: it reads `/proc` (https://man7.org/linux/man-pages/man5/proc.5.html).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2
"""The kernel's number for "time it ran" in a process's clock id (clock_getcpuclockid(3))."""

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core is measured and which ones make the load; the same on a machine with only one."""

    measured: frozenset[int]
    load: frozenset[int]

    @property
    def shared(self) -> bool:
        """Whether the load generator takes time from what it measures."""
        return bool(self.measured & self.load)


def choose_cores() -> Cores:
    """Give the last core this process may use to the measured subject, the others to the load."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(allowed[-1:]), frozenset(allowed[:-1] or allowed))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Run the calling thread, and the children it starts meanwhile, on `cores` alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def start(
    command: Sequence[str],
    cores: frozenset[int],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    answers: bool = False,
) -> asyncio.subprocess.Process:
    """Start a child on `cores`, out of reach of the terminal's Ctrl-C.

    What it says is appended to `log`; standard output is a pipe instead when it `answers` there.
    Its standard input is a pipe that ends with this process.
    """
    with pinned(cores), log.open("ab") as sink:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if answers else sink,
            stderr=sink,
            env=environment,
            start_new_session=True,
        )


async def stop(process: asyncio.subprocess.Process, *, patience: float = _STOP_SECONDS) -> None:
    """End a child and everything below it: politely, and after `patience` seconds by force."""
    family = descendants(process.pid)
    if process.returncode is None:
        process.terminate()
    deadline = time.monotonic() + patience
    while process.returncode is None and time.monotonic() < deadline:  # noqa: ASYNC110 - wait() would also wait for pipes that grandchildren hold
        await asyncio.sleep(0.005)
    for pid, born in family.items():
        if _born(pid) == born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    await process.wait()


def descendants(root: int) -> dict[int, int]:
    """Return `root` and its living descendants, each with its start in clock ticks since boot."""
    children: dict[int, list[tuple[int, int]]] = {}
    family: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(int(stat[1]), []).append((int(entry.name), int(stat[19])))
            if int(entry.name) == root:
                family[root] = int(stat[19])
    waiting = [root]
    while waiting:
        for pid, born in children.get(waiting.pop(), ()):
            family[pid] = born
            waiting.append(pid)
    return family


def command_line(pid: int) -> str:
    """Return the command line of a process, empty when it is gone."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode(errors="replace")
            .strip()
        )
    except OSError:
        return ""


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has used, 0 when it is gone.

    Its own clock counts nanoseconds, where `/proc/PID/stat` counts hundredths of a second.
    """
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return 0.0


def resident_bytes(pid: int, field: str = "VmRSS") -> int:
    """Return the resident memory of a process (`VmHWM`: its peak), 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def release(pid: int, cores: frozenset[int]) -> None:
    """Let every thread of a process run on `cores`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


def _stat(pid: int) -> list[str] | None:
    """Return the fields of `/proc/PID/stat` behind the command's name, the state first."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _born(pid: int) -> int | None:
    stat = _stat(pid)
    return None if stat is None else int(stat[19])
