"""The counter process: the only one that holds tokenizers, serving the workers of its machine."""

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from meterway.kit.tasks import Tasks
from meterway.tokens import engines
from meterway.tokens.types import Tokenizer
from meterway.tokens.wire import Answer, Question, frame, read_frame, read_question

_SLICE: Final = 0.002  # seconds of counting before others get a turn
_PARENT_POLL: Final = 1.0  # seconds
_WARM: Final = (Tokenizer.CLAUDE_3, Tokenizer.O200K, Tokenizer.CLAUDE_4_8)
_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG in <linux/prctl.h>


class CounterServer:
    """Answers questions, each in a task of its own that counts in slices of 2 ms.

    A short text therefore waits for one slice of each long one, never for the whole.
    """

    def __init__(self) -> None:
        self._tasks = Tasks()
        self._loading = asyncio.Lock()
        self._loaded: dict[Tokenizer, engines.Engine] = {}

    def warm(self) -> None:
        """Begin to load the tokenizers most calls ask for."""
        self._tasks.spawn(self._load_all(_WARM), name="counter.warm")

    async def _load_all(self, names: tuple[Tokenizer, ...]) -> None:
        for name in names:
            await self._engine(name)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until its other side goes."""
        try:
            while True:
                question = read_question(await read_frame(reader))
                self._tasks.spawn(self._answer(question, writer), name="counter.answer")
        except (OSError, EOFError, ValueError, msgspec.DecodeError):
            return  # gone, or not one of our clients: closing is all the answer there is
        finally:
            writer.close()

    async def _answer(self, question: Question, writer: asyncio.StreamWriter) -> None:
        counts: list[int] = []
        try:
            engine = await self._engine(question.tokenizer)
            counts = [await _count(engine, text) for text in question.texts]
        finally:  # no counts tell the other side that counting failed; why is in the task's log
            if not writer.is_closing():
                writer.write(frame(Answer(question.id, counts)))
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    async def _engine(self, name: Tokenizer) -> engines.Engine:
        if name not in self._loaded:
            async with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = await asyncio.to_thread(engines.engine, name)
        return self._loaded[name]

    async def close(self) -> None:
        """Stop counting."""
        await self._tasks.cancel()


async def _count(engine: engines.Engine, text: str) -> int:
    work = engine.steps(text)
    turn = monotonic()
    while True:
        try:
            next(work)
        except StopIteration as done:
            return int(done.value)
        if monotonic() - turn > _SLICE:
            await asyncio.sleep(0)
            turn = monotonic()


def serve_counter(path: Path) -> None:
    """Serve on a Unix socket at `path` until the parent process ends or SIGTERM comes.

    `path` must fit the system's limit of about 100 bytes. A socket left behind by a dead counter
    is replaced; raises `OSError` where a living one listens or the file is no socket.
    """
    parent = os.getppid()
    _die_with_parent()
    asyncio.run(_serve(path, parent))


async def _serve(path: Path, parent: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counter = CounterServer()
    listening, inode = _bind(path)
    listener = await asyncio.start_unix_server(counter.talk, sock=listening)
    counter.warm()
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


def _die_with_parent() -> None:
    """Ask Linux for SIGTERM when the parent dies; elsewhere the poll of its id must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def main() -> None:
    """Run the counter from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    serve_counter(parser.parse_args().socket)


if __name__ == "__main__":
    main()
