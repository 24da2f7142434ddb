"""Jobs from their first day to their last: queued, claimed, told of, put back, done.

Whoever claims a job is called as its journal is: a journal that is closed belongs to the dead, and
their jobs are queued again. A job makes one call however often it is begun, under one call id, and
the ledger charges that once.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_millis, to_seconds
from meterway.jobs import store
from meterway.jobs.errors import JobLostError, TooManyJobsError
from meterway.jobs.types import Batch, Job, Kind, Pending, State, Told
from meterway.ledger.journal import service as journals

MOST_OF_USER: Final = 1000
"""Jobs of one user that are not done."""

_AT_ONCE = 64  # batches read in one go
_SOON = 5.0  # seconds until one of so many jobs should be done
_DONE: dict[str, Any] = {"state": State.DONE, "payload": b""}  # a copy of what was said goes


async def add(tx: AsyncConnection, job: Job, *, most: int = MOST_OF_USER) -> None:
    """Queue a job for the response that was made in `tx`.

    Raises `TooManyJobsError` where its user has `most` already that are not done.
    """
    if await store.count(tx, job.user_id) >= most:
        raise TooManyJobsError(
            f"You have {most} background responses that have not ended; wait for some, or "
            "cancel them.",
            retry_after=_SOON,
        )
    await store.add(tx, {**msgspec.structs.asdict(job), "created_at": to_millis(job.created_at)})


async def pending(connection: AsyncConnection) -> Pending:
    """Say which jobs there are that are not done, of all processes."""
    return Pending(*await store.pending(connection))


async def of_response(connection: AsyncConnection, response_id: str) -> Job | None:
    """Return the job that makes a response, without its payload; None where none does."""
    row = await store.of_response(connection, response_id)
    return None if row is None else _job(row)


async def makes(connection: AsyncConnection, call_id: int) -> bool:
    """Say whether a job makes a call, or made it."""
    return await store.exists(connection, call_id)


async def claim(tx: AsyncConnection, claimer: str) -> Job | None:
    """Take the job whose turn it is for the process whose journal is `claimer`; None for none.

    What an earlier run of it told is forgotten, and its numbers are not used again.
    """
    row = await store.next_queued(tx)
    if row is None:
        return None
    job = _job(row)
    first = max(job.next_event, await next_event(tx, job.response_id))
    await store.forget_events(tx, job.response_id, job.next_event - 1)
    changes: dict[str, Any] = {
        "state": State.RUNNING,
        "claimed_by": claimer,
        "attempts": job.attempts + 1,
        "next_event": first,
    }
    await store.change(tx, job.call_id, changes)
    return msgspec.structs.replace(job, **changes)


async def wanted(connection: AsyncConnection, claimer: str) -> frozenset[int]:
    """Return the call ids of a process's jobs that were neither cancelled nor deleted."""
    return frozenset(await store.wanted(connection, claimer))


async def orphans(connection: AsyncConnection) -> list[Job]:
    """Return the running jobs of processes that are dead, without their payloads.

    A journal is asked for after its jobs: it was registered before it could claim one.
    """
    running = [_job(row) for row in await store.running(connection)]
    claimers = {job.claimed_by for job in running if job.claimed_by is not None}
    known = await journals.named(connection, claimers) if claimers else {}
    alive = {name for name, journal in known.items() if not journal.is_closed}
    return [job for job in running if job.claimed_by not in alive]


async def put_back(tx: AsyncConnection, job: Job, *, counts: bool) -> None:
    """Queue a claimed job again; unless that `counts`, as if it had not been begun.

    Raises `JobLostError` where it was cancelled, deleted or taken over meanwhile.
    """
    changes = {
        "state": State.QUEUED,
        "claimed_by": None,
        "attempts": job.attempts if counts else job.attempts - 1,
    }
    await _change_claimed(tx, job, changes)


async def finish(tx: AsyncConnection, job: Job) -> None:
    """End a claimed job, whose response is kept in the same transaction.

    Raises `JobLostError` where it was cancelled, deleted or taken over meanwhile.
    """
    await _change_claimed(tx, job, _DONE)


async def let_go(tx: AsyncConnection, job: Job) -> None:
    """End a claimed job that was cancelled; nothing where it is gone."""
    await store.change(tx, job.call_id, _DONE, *_claimed(job))


async def cancel(tx: AsyncConnection, response_id: str) -> bool:
    """Cancel the job of a response; False where there is none, or it is over already.

    One that runs is noticed by its process within a second.
    """
    row = await store.of_response(tx, response_id)
    if row is None:
        return False
    if await store.change(tx, row.call_id, _DONE, store.is_in(State.QUEUED)):
        return True
    cut = {"cancel_requested": True}
    return await store.change(tx, row.call_id, cut, store.is_in(State.RUNNING), store.is_kept())


async def next_event(connection: AsyncConnection, response_id: str) -> int:
    """Return the number of the event that a response tells next."""
    return await store.last_event(connection, response_id) + 1


async def append(tx: AsyncConnection, response_id: str, batch: Batch) -> None:
    """Add events to those a response told. Raises `JobLostError` where it is gone."""
    try:
        await store.append(tx, response_id, batch.last, batch.blocks)
    except IntegrityError as error:
        raise JobLostError(f"Response '{response_id}' was deleted meanwhile.") from error


async def events(connection: AsyncConnection, response_id: str, after: int) -> list[Batch]:
    """Return the next batches of a response that hold events behind number `after`."""
    found = await store.events(connection, response_id, after, _AT_ONCE)
    return [Batch(last, bytes(blocks)) for last, blocks in found]


async def told(connection: AsyncConnection, response_id: str, after: int) -> Told | None:
    """Return the same, and whether no others will follow; None where the response is gone."""
    rows = await store.told(connection, response_id, after, _AT_ONCE)
    if not rows:
        return None
    over = rows[0][0] == State.DONE or bool(rows[0][1])
    batches = [Batch(row[2], bytes(row[3])) for row in rows if row[2] is not None]
    return Told(batches, ended=over and len(batches) < _AT_ONCE)


async def _change_claimed(tx: AsyncConnection, job: Job, changes: dict[str, Any]) -> None:
    if not await store.change(tx, job.call_id, changes, *_claimed(job), store.is_kept()):
        raise JobLostError(f"The job of response '{job.response_id}' was taken away.")


def _claimed(job: Job) -> Sequence[Any]:
    assert job.claimed_by is not None, "it is claimed"
    return store.is_in(State.RUNNING), store.is_of(job.claimed_by)


def _job(row: Row[Any]) -> Job:
    values = {"payload": b"", **row._mapping}  # noqa: SLF001 - SQLAlchemy's public name for it
    values["created_at"] = to_seconds(values["created_at"])
    values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
    return Job(**values)
