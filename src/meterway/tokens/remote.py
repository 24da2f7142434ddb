"""The way from a worker to the counter process."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import structlog

from meterway.kit.tasks import Tasks
from meterway.tokens.errors import CounterDownError
from meterway.tokens.types import Tokenizer
from meterway.tokens.wire import Question, frame, read_answer, read_frame

_log = structlog.get_logger()

_PATIENCE: Final = 10.0  # seconds until a silent counter counts as down
_LOST = (OSError, EOFError, ValueError, msgspec.DecodeError)


class RemoteCounting:
    """Asks the counter process at a Unix socket; connects when first needed and again when lost.

    One connection carries all questions of a worker at once.
    """

    def __init__(self, path: Path, *, patience: float = _PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[list[int]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._connecting = asyncio.Lock()
        self._tasks = Tasks()

    async def count(self, tokenizer: Tokenizer, texts: list[str]) -> list[int]:
        """Return the tokens of each text; raises `CounterDownError` when nobody answers in time."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._ask(tokenizer, texts)
        except (TimeoutError, *_LOST) as error:
            raise CounterDownError(f"The counter process does not answer: {error!r}.") from error

    async def _ask(self, tokenizer: Tokenizer, texts: list[str]) -> list[int]:
        writer = await self._connected()
        number = next(self._ids)
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(frame(Question(number, tokenizer, texts)))
            await writer.drain()
            counts = await answer
        finally:
            self._waiting.pop(number, None)
        if len(counts) != len(texts):
            raise ConnectionAbortedError("The counter process failed to count.")
        return counts

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                self._tasks.spawn(self._listen(reader, self._writer), name="counter.listen")
            return self._writer

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand out answers until the connection ends, which fails all questions still open."""
        try:
            while True:
                answer = read_answer(await read_frame(reader))
                waiting = self._waiting.get(answer.id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer.counts)
        except _LOST as error:
            _log.info("counter.lost", reason=repr(error))
        finally:
            self._writer = None
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("The counter process went away."))

    async def close(self) -> None:
        """Hang up."""
        await self._tasks.cancel()
