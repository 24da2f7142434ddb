"""Makes the responses of jobs: the call goes its usual way, and its events are kept in batches.

There is no client here: who wants the response reads what is kept. ADR 0011 says the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Self, TypeVar

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.auth.service import principal_of
from meterway.auth.types import Principal
from meterway.db.engine import reading, transaction
from meterway.edge.openai.responses.background import Payload, failure_of
from meterway.edge.openai.responses.turns import gained
from meterway.jobs import service as jobs
from meterway.jobs.errors import JobLostError
from meterway.jobs.types import MOST_ATTEMPTS, Batch, Job
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.ids import request_id
from meterway.kit.tasks import Tasks
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.openai_responses import (
    Frame,
    ResponsesTurn,
    background,
    frame_of,
    output_items,
)
from meterway.relay.pipeline import Gate, relay
from meterway.relay.stream import Reply
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import ConversationNotFoundError, ResponseNotFoundError
from meterway.threads.responses import service as responses
from meterway.threads.types import StoredResponse

BATCH_SECONDS: Final = 0.25
"""How long events are gathered before they are appended."""

_AGAIN = 1.0  # seconds until a database that failed is asked again
_WAITS = (1.0, 2.0, 4.0)  # seconds between tries to begin a call
_log = structlog.get_logger()
T = TypeVar("T")


class Maker:
    """Makes the responses of the jobs one process has claimed; `gate` as in `relay`.

    `write_down` journals calls that ended; `kept` waits until they are on the disk, where an end
    is to wait for that.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        gate: Gate,
        write_down: Callable[[], None],
        kept: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._gate = gate
        self._write_down = write_down
        self._kept = kept
        self._tasks = Tasks()

    async def make(self, job: Job) -> None:
        """Make the response of a claimed job, whatever becomes of it, and end the job.

        Cancelled, it settles the call as one whose client left, and leaves the job as it is.
        Raises `JobLostError` where the job was cancelled, deleted or taken over meanwhile.
        """
        response = await self._response(job)
        payload = msgspec.json.decode(job.payload, type=Payload)
        frame = frame_of({**payload.body, **payload.state}, job.response_id, _begun(response))
        codec = ResponsesTurn(frame, self._clock)
        async with Log(self._engine, self._clock, job) as log:
            try:
                await self._serve(job, codec, payload, log)
            except MeterwayError as error:
                log.add(codec.encode_failure(failure_of(error)))
            except Exception as error:  # noqa: BLE001 - one job's fault: it would fail each time
                name = request_id(job.call_id)
                _log.error("job.failed", response=job.response_id, request_id=name, exc_info=error)
                unknown = MeterwayError(f"The gateway failed on this. Its log has more: {name}.")
                log.add(codec.encode_failure(failure_of(unknown)))
        await self._keep(job, response, frame, log)

    async def _response(self, job: Job) -> StoredResponse:
        async def look() -> StoredResponse:
            async with reading(self._engine) as connection:
                return await responses.get(connection, job.user_id, job.response_id)

        try:
            return await self._patiently(look)
        except ResponseNotFoundError:
            raise JobLostError(f"Response '{job.response_id}' was deleted.") from None

    async def _caller(self, job: Job) -> Principal:
        async def look() -> Principal:
            async with reading(self._engine) as connection:
                return await principal_of(connection, job.key_id, self._clock.now())

        return await self._patiently(look)

    async def _serve(self, job: Job, codec: ResponsesTurn, payload: Payload, log: "Log") -> None:
        """Relay the call as a client's, and log what a client would be told."""
        caller = await self._caller(job)
        call = Call(job.call_id, codec, payload.body, {}, job.billing)
        reply = await self._relay(call, caller)
        async with reply:
            log.add(reply.first)
            async for chunk in reply.rest():
                log.add(chunk)
            reply.settle()
        self._write_down()
        if self._kept is not None:
            await self._kept()

    async def _relay(self, call: Call, caller: Principal) -> Reply:
        """Begin the call; a passing fault of ours is waited for a while, as no client waits."""
        for wait in _WAITS:
            try:
                return await relay(call, caller, self._gate)
            except UnavailableError:
                await self._clock.sleep(wait)
        return await relay(call, caller, self._gate)

    async def _keep(self, job: Job, response: StoredResponse, frame: Frame, log: "Log") -> None:
        """Keep the response, its last events and the end of its job in one transaction."""
        assert frame.final is not None, "it ended, or its failure was told"
        made = msgspec.structs.replace(
            response,
            status=frame.status or "completed",
            body=frame.final,
            output=frame.output or b"[]",
        )
        batch = log.take()

        async def write() -> None:
            async with transaction(self._engine) as tx:
                await jobs.finish(tx, job)
                if batch is not None:
                    await jobs.append(tx, job.response_id, batch)
                await responses.replace(tx, made)
                await _converse(tx, made)

        await self._patiently(write)

    async def _patiently(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work`, whose end a cancelled job does not cut; again where the database fails."""
        while True:
            try:
                return await self._tasks.unbroken(work(), name="job.work")
            except UnavailableError:
                await self._clock.sleep(_AGAIN)

    async def close(self) -> None:
        """Wait for what is being read or written; no job is being made any more."""
        await self._tasks.drain()


async def _converse(tx: AsyncConnection, made: StoredResponse) -> None:
    """Append the turn to its conversation, unless that was deleted meanwhile."""
    if made.conversation_id is None:
        return
    items = gained(output_items(made.input), made.output)
    try:
        await conversations.append_turn(tx, made.user_id, made.conversation_id, items)
    except ConversationNotFoundError as error:
        _log.warning("response.not_appended", response=made.id, error=error.message)


def _begun(response: StoredResponse) -> int:
    return int(response.created_at)


async def claim(engine: AsyncEngine, claimer: str) -> Job | None:
    """Claim the job whose turn it is, whose response is in progress then; None for none."""
    async with transaction(engine) as tx:
        job = await jobs.claim(tx, claimer)
        if job is not None:
            found = await responses.get(tx, job.user_id, job.response_id)
            body = background.with_status(found.body, "in_progress")
            begun = msgspec.structs.replace(found, status="in_progress", body=body)
            await responses.replace(tx, begun)
    return job


async def take_back(engine: AsyncEngine) -> int:
    """Queue the jobs of dead processes again; return how many there were.

    One that was begun too often is given up, and its response has failed; one that was cancelled
    is over.
    """
    async with reading(engine) as connection:
        orphans = await jobs.orphans(connection)
    for job in orphans:
        try:
            async with transaction(engine) as tx:
                await _take_back(tx, job)
        except JobLostError:
            continue  # another process was faster
    return len(orphans)


async def _take_back(tx: AsyncConnection, job: Job) -> None:
    if job.cancel_requested:
        await jobs.let_go(tx, job)
    elif job.attempts < MOST_ATTEMPTS:
        await jobs.put_back(tx, job, counts=True)
        _log.warning("job.taken_back", response=job.response_id, attempts=job.attempts)
    else:
        await jobs.finish(tx, job)
        found = await responses.get(tx, job.user_id, job.response_id)
        why = f"It was begun {job.attempts} times, and the gateway ended each time before it did."
        body = background.failed(found.body, why)
        await responses.replace(tx, msgspec.structs.replace(found, status="failed", body=body))
        number = await jobs.next_event(tx, job.response_id)
        event = background.event_of("response.failed", number, body)
        await jobs.append(tx, job.response_id, Batch(number, event))
        _log.error("job.given_up", response=job.response_id, attempts=job.attempts)


class Log:
    """The events of one run: gathered, numbered, appended up to `BATCH_SECONDS` later.

    While its block runs it appends by itself; what is left then `take` hands over, for the end. A
    database that fails is asked again: nothing of what was added is lost.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock, job: Job) -> None:
        self._engine = engine
        self._clock = clock
        self._id = job.response_id
        self._numbers = background.Numbering(job.next_event)
        self._pieces: list[bytes] = []
        self._filled = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="job.events")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None, "its block was entered"
        async with self._writing:  # a connection is not cut in the middle of an answer
            self._task.cancel()
        await asyncio.wait([self._task])

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if told := self._numbers.feed(data):
            self._pieces.append(told)
            self._filled.set()

    def take(self) -> Batch | None:
        """Return what was not appended yet, None for nothing."""
        pieces, self._pieces = self._pieces, []
        self._filled.clear()
        return Batch(self._numbers.next - 1, b"".join(pieces)) if pieces else None

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            await self._clock.sleep(BATCH_SECONDS)
            async with self._writing:
                await self._append()

    async def _append(self) -> None:
        batch = self.take()
        if batch is None:
            return
        try:
            async with transaction(self._engine) as tx:
                await jobs.append(tx, self._id, batch)
        except UnavailableError:
            self._pieces.insert(0, batch.blocks)
            self._filled.set()
        except JobLostError as error:  # deleted: the job is about to be cut
            _log.debug("job.lost", response=self._id, error=error.message)
