"""The counter process: the only one that holds tokenizers, serving the workers of its machine."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec
import structlog

from meterway.kit.tasks import Tasks
from meterway.tokens import engines
from meterway.tokens.types import Tokenizer
from meterway.tokens.wire import Answer, Question, frame, read_frame, read_question

_log = structlog.get_logger()

_TURN: Final = 0.001  # seconds of counting before the next question gets its turn
_PARENT_POLL: Final = 1.0  # seconds
_WARM: Final = (Tokenizer.CLAUDE_3, Tokenizer.O200K, Tokenizer.CLAUDE_4_8)


@dataclass(order=True, slots=True)
class _Job:
    """A question being counted; the one that had the fewest turns is next."""

    turns: int
    order: int
    question: Question = field(compare=False)
    writer: asyncio.StreamWriter = field(compare=False)
    work: Generator[None, None, list[int]] = field(compare=False)


class CounterServer:
    """Answers questions in turns of a millisecond, those that had the fewest turns first.

    A short text therefore never waits for a long one, and the socket is read between turns.
    """

    def __init__(self) -> None:
        self._tasks = Tasks()
        self._loading = asyncio.Lock()
        self._loaded: dict[Tokenizer, engines.Engine] = {}
        self._jobs: list[_Job] = []
        self._order = count()
        self._work = asyncio.Event()

    def start(self, *, warm: Sequence[Tokenizer] = ()) -> None:
        """Begin to count, and to load the tokenizers in `warm`."""
        self._tasks.spawn(self._run(), name="counter.run")
        self._tasks.spawn(self._load_all(warm), name="counter.warm")

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until its other side goes."""
        try:
            while True:
                question = read_question(await read_frame(reader))
                if question.tokenizer in self._loaded:
                    self._accept(question, writer)
                else:
                    self._tasks.spawn(self._load_for(question, writer), name="counter.load")
        except (OSError, EOFError, ValueError, msgspec.DecodeError):
            return  # gone, or not one of our clients: closing is all the answer there is
        finally:
            writer.close()

    def _accept(self, question: Question, writer: asyncio.StreamWriter) -> None:
        work = _count_all(self._loaded[question.tokenizer], question.texts)
        heappush(self._jobs, _Job(0, next(self._order), question, writer, work))
        self._work.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            job = heappop(self._jobs)
            if not job.writer.is_closing() and not _take_turn(job):
                job.turns += 1
                heappush(self._jobs, job)
            if not self._jobs:
                self._work.clear()
            await asyncio.sleep(0)

    async def _load_for(self, question: Question, writer: asyncio.StreamWriter) -> None:
        await self._load_all([question.tokenizer])
        self._accept(question, writer)

    async def _load_all(self, names: Sequence[Tokenizer]) -> None:
        for name in names:
            async with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = await asyncio.to_thread(engines.engine, name)

    async def close(self) -> None:
        """Stop counting."""
        await self._tasks.cancel()


def _count_all(engine: engines.Engine, texts: list[str]) -> Generator[None, None, list[int]]:
    counts = []
    for text in texts:
        counts.append((yield from engine.steps(text)))
        yield
    return counts


def _take_turn(job: _Job) -> bool:
    """Count for one turn; returns whether the question is answered.

    A text that breaks its tokenizer is answered without counts, so that the asker estimates.
    """
    end = monotonic() + _TURN
    try:
        while monotonic() < end:
            next(job.work)
    except StopIteration as done:
        job.writer.write(frame(Answer(job.question.id, done.value)))
        return True
    except Exception:  # noqa: BLE001  one text must not stop the counting of all others
        _log.exception("counter.failed", tokenizer=job.question.tokenizer)
        job.writer.write(frame(Answer(job.question.id, [])))
        return True
    return False


def serve_counter(path: Path) -> None:
    """Serve on a Unix socket at `path` until the parent process ends or SIGTERM comes.

    `path` must fit the system's limit of about 100 bytes. A socket left behind by a dead counter
    is replaced; raises `OSError` where a living one listens or the file is no socket.
    """
    asyncio.run(_serve(path, os.getppid()))


async def _serve(path: Path, parent: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counter = CounterServer()
    listening, inode = _bind(path)
    listener = await asyncio.start_unix_server(counter.talk, sock=listening)
    counter.start(warm=_WARM)
    while os.getppid() == parent and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PARENT_POLL)
    listener.close()
    await counter.close()
    _unlink(path, inode)


def _bind(path: Path) -> tuple[socket.socket, int]:
    """Return a socket bound at `path`, for this user alone, and its inode."""
    _clear(path)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    return listening, path.stat().st_ino


def _unlink(path: Path, inode: int) -> None:
    """Remove our socket, unless a successor has put its own there."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket nobody listens on."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(f"{path} exists and is no socket; name another path.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(f"A counter already listens at {path}.")
