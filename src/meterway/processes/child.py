"""What a forked process does before its work, and how it is seen from outside."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import structlog

_log = structlog.get_logger()
_DEATH_SIGNAL, _SET_NAME = 1, 15  # PR_SET_PDEATHSIG, PR_SET_NAME of <linux/prctl.h>
_NAME_LENGTH = 15
_YOUNG, _MIDDLE, _OLD = 10_000, 20, 100
_ARG_START, _ARG_END = 47, 48  # fields of /proc/PID/stat counted from 0, see proc(5)


def run(name: str, work: Callable[[], None], parent: int, mask: Iterable[int]) -> NoReturn:
    """Do `work` in a process just forked by `parent`, and end the process.

    Signals are held back until here; `mask` is what `work` shall hold back. One that came
    meanwhile ends the process now.

    The parent speaks to its children by SIGTERM; an interrupt from the keyboard goes to the
    parent alone, though a terminal sends it to all.
    """
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _die_with(parent)
        set_title(f"meterway {name}")
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
        _log.error("process.failed", process=name, exc_info=error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def settle_memory() -> None:
    """Leave what is there after the start to no collection again, and collect less often.

    A process's long-lived objects number a few hundred thousand; walking them at each full
    collection would stop every stream of a worker for tens of milliseconds. Calls and their
    records make few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def _die_with(parent: int) -> None:
    """Get SIGTERM when the parent dies; where the system has no such wish, workers look."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def set_title(title: str) -> None:
    """Show `title` as this process's command line, as far as the old one's room goes (Linux)."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_NAME, title.encode()[:_NAME_LENGTH], 0, 0, 0)
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    values = fields.rpartition(")")[2].split()  # begins at the third field
    start, end = int(values[_ARG_START - 2]), int(values[_ARG_END - 2])
    room = end - start
    if start and room > 0:
        ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)
