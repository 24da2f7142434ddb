"""Responses in the background, as a worker sees them: taken on, followed, cancelled.

Follows https://platform.openai.com/docs/guides/background; ADR 0011 says how they are made.
"""

from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.engine import reading
from meterway.edge.cycle import GONE, Gone
from meterway.edge.errors import shown
from meterway.edge.http import JSON_TYPE, Headers, Scope, Send, send_reply
from meterway.edge.openai.responses.turns import Turn
from meterway.edge.openai.shelf import Shelf
from meterway.edge.serving import STREAM_HEADERS, Client, Desk
from meterway.jobs import service as jobs
from meterway.jobs.types import Batch, Job, Told
from meterway.kit import json, sse
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.json import RawObject
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.chat.openai_responses import ResponsesTurn, background
from meterway.threads.errors import ResponseNotFoundError
from meterway.threads.responses import service as responses
from meterway.threads.types import StoredResponse

_SHORTEST, _LONGEST, _GROWTH = 0.2, 1.0, 1.5  # seconds between two looks for events
_PAYMENT_REQUIRED = 402
_STREAMED = msgspec.Raw(b"true")


class Payload(msgspec.Struct, frozen=True):
    """What a response is made of later: the assembled request, and what of it is ours."""

    body: RawObject
    state: RawObject


class Acceptance:
    """Takes responses on that are made in the background; one per worker.

    `wake` tells the process that makes them that there is one.
    """

    def __init__(self, desk: Desk, shelf: Shelf, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._shelf = shelf
        self._wake = wake
        self._follower = Follower(shelf, desk.keep_alive_seconds)

    async def __call__(self, turn: Turn, client: Client, billing: str) -> None:
        """Queue a turn, and answer with the queued response, or with its events as they come.

        What a call would be refused for is refused now, but for what it costs: a job holds no money
        before it runs. Raises what `relay` raises before it takes a hold, and `TooManyJobsError`.
        """
        request = client.request
        call = Call(request.call_id, ResponsesTurn(turn.frame), turn.body, {}, billing)
        streamed = call.facts.stream
        await self._admit(call, turn)
        queued = background.queued(turn.frame)
        row = turn.row(self._shelf.retention, "queued", queued)
        job = _job(call, turn, row)

        async def work(tx: AsyncConnection) -> None:
            await responses.add(tx, row)
            await jobs.add(tx, job)
            await jobs.append(tx, row.id, Batch(job.next_event - 1, background.opening(queued)))

        await self._shelf.writer.put(work)
        self._wake()
        request.release()
        if streamed:
            await self._follower.tell(client.scope, client.send, request.head, row.id, -1)
        else:
            await send_reply(client.send, 200, [*request.head, JSON_TYPE], queued)

    async def _admit(self, call: Call, turn: Turn) -> None:
        """Refuse what could not be served, and count the call; its run is counted nowhere."""
        gate, dialect = self._desk.gate, call.codec.dialect
        gate.router.permit(call.facts.model, turn.caller.allows)
        routes = gate.router.candidates(call.facts.model, dialect)
        if all(route.dialect is not dialect for route in routes):
            call.request()  # it will be translated: whether that can be done is known now
        (await gate.limits.admit(call, turn.caller)).release()


def _job(call: Call, turn: Turn, row: StoredResponse) -> Job:
    body = {**turn.body, "stream": _STREAMED}  # so that its events can be followed
    return Job(
        call_id=call.id,
        response_id=row.id,
        user_id=row.user_id,
        key_id=row.key_id,
        billing=call.billing,
        payload=json.encode(Payload(body, turn.state)),
        created_at=row.created_at,
        next_event=background.OPENING,
    )


class Follower:
    """Tells the events of responses as they are appended, whichever process appends them.

    A database that is down is waited for. `keep_alive` is the silence, in seconds, after which a
    comment is sent.
    """

    def __init__(self, shelf: Shelf, keep_alive: float) -> None:
        self._shelf = shelf
        self._keep_alive = keep_alive

    async def tell(self, scope: Scope, send: Send, head: Headers, id_: str, after: int) -> None:
        """Send the events of a response of the caller's behind number `after`, until its end."""
        gone: Gone = scope["extensions"][GONE]
        headers = [*head, *STREAM_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pause, silence, ended = _SHORTEST, 0.0, False
        while not (ended or gone.happened):
            told, after, ended = await self._next(id_, after)
            if told:
                pause, silence = _SHORTEST, 0.0
            elif silence >= self._keep_alive:
                told, silence = sse.COMMENT, 0.0
            if told:
                await send({"type": "http.response.body", "body": told, "more_body": True})
            elif not ended:
                await self._shelf.clock.sleep(pause)
                silence, pause = silence + pause, min(pause * _GROWTH, _LONGEST)
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, id_: str, after: int) -> tuple[bytes, int, bool]:
        """Return the next events, the number of the last, and whether they are the last."""
        try:
            seen = await self._shelf.door.unbroken(self._look(id_, after))
        except UnavailableError:
            return b"", after, False
        if seen is None:
            error = ResponseNotFoundError(id_)
            return background.error_event(error.code, error.message, after + 1), after, True
        told = []
        for batch in seen.batches:
            told.append(background.after(batch.blocks, batch.last, after))
            after = batch.last
        return b"".join(told), after, seen.ended

    async def _look(self, id_: str, after: int) -> Told | None:
        async with reading(self._shelf.engine) as connection:
            return await jobs.told(connection, id_, after)


def failure_of(error: MeterwayError) -> Failed:
    """Return what refused a call as the failure of its response.

    An empty balance has the code at which agents stop instead of retrying.
    """
    if error.status == _PAYMENT_REQUIRED:
        quota = "insufficient_quota"
        return Failed(message=error.message, kind=quota, status=429, code=quota)
    return Failed(message=shown(error), kind=error.code, status=error.status, code=error.code)


async def cancel(tx: AsyncConnection, user_id: int, id_: str) -> StoredResponse:
    """Cancel a response of a user's; one that ended, or was cancelled, stays as it is.

    Raises `ResponseNotFoundError`.
    """
    found = await responses.get(tx, user_id, id_)
    if not found.background or not await jobs.cancel(tx, id_):
        return await responses.get(tx, user_id, id_)  # its end may have come in between
    body = background.with_status(found.body, "cancelled")
    cancelled = msgspec.structs.replace(found, status="cancelled", body=body)
    await responses.replace(tx, cancelled)
    return cancelled


async def delete(tx: AsyncConnection, user_id: int, id_: str) -> None:
    """Delete a response, and cancel what makes it: its job is locked first, as everywhere."""
    await responses.get(tx, user_id, id_)
    await jobs.cancel(tx, id_)
    await responses.delete(tx, user_id, id_)
