"""The SQL of jobs and of the events they tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import rows
from meterway.db.rows import Values, fetch
from meterway.jobs.tables import jobs, response_events
from meterway.jobs.types import State

_COLUMNS = tuple(jobs.c.keys())
_FACTS = [column for column in jobs.c if column is not jobs.c.payload]  # that may be megabytes
_EVENTS = tuple(response_events.c.keys())
_PENDING = text(
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued'), "
    "EXISTS (SELECT 1 FROM jobs WHERE state = 'running')"
)
_AFTER = text(
    "SELECT seq, bytes FROM response_events WHERE response_id = :id AND seq > :after "
    "ORDER BY seq LIMIT :most"
)
_TOLD = text(  # in one statement, so that a job that is done is seen with the last of its events
    "SELECT job.state, job.cancel_requested, told.seq, told.bytes FROM jobs AS job "
    "LEFT JOIN response_events AS told ON told.response_id = job.response_id "
    "AND told.seq > :after WHERE job.response_id = :id ORDER BY told.seq LIMIT :most"
)


async def add(tx: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Insert a job."""
    await rows.insert(tx, "jobs", _COLUMNS, [tuple(values[name] for name in _COLUMNS)])


async def pending(connection: AsyncConnection) -> tuple[bool, bool]:
    """Say whether any job is queued, and whether any is running."""
    ((queued, running),) = await fetch(connection, _PENDING, {})
    return bool(queued), bool(running)


async def count(connection: AsyncConnection, user_id: int) -> int:
    """Return how many jobs of a user are not done."""
    query = select(func.count()).select_from(jobs).where(jobs.c.user_id == user_id)
    query = query.where(jobs.c.state.in_((State.QUEUED, State.RUNNING)))
    return (await connection.execute(query)).scalar_one()


async def of_response(connection: AsyncConnection, response_id: str) -> Row[Any] | None:
    """Return the job that makes a response, without its payload."""
    query = select(*_FACTS).where(jobs.c.response_id == response_id)
    return (await connection.execute(query)).one_or_none()


async def exists(connection: AsyncConnection, call_id: int) -> bool:
    """Say whether there is a job of a call."""
    query = select(jobs.c.call_id).where(jobs.c.call_id == call_id)
    return (await connection.execute(query)).one_or_none() is not None


async def next_queued(tx: AsyncConnection) -> Row[Any] | None:
    """Return the queued job whose turn it is, locked; one that another takes is passed over.

    It is the oldest of a user who has the fewest running.
    """
    others = jobs.alias("others")
    running = (
        select(func.count())
        .select_from(others)
        .where(others.c.state == State.RUNNING, others.c.user_id == jobs.c.user_id)
        .scalar_subquery()
    )
    query = select(jobs).where(jobs.c.state == State.QUEUED)
    query = query.order_by(running, jobs.c.created_at, jobs.c.call_id).limit(1)
    return (await tx.execute(query.with_for_update(of=jobs, skip_locked=True))).one_or_none()


async def running(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Return the running jobs of all processes, without their payloads; oldest first."""
    query = select(*_FACTS).where(jobs.c.state == State.RUNNING).order_by(jobs.c.call_id)
    return (await connection.execute(query)).all()


async def wanted(connection: AsyncConnection, claimer: str) -> Sequence[int]:
    """Return the calls of a process's running jobs that nobody cancelled."""
    query = select(jobs.c.call_id).where(
        jobs.c.state == State.RUNNING,
        jobs.c.claimed_by == claimer,
        jobs.c.cancel_requested.is_(False),
    )
    return (await connection.execute(query)).scalars().all()


async def change(
    tx: AsyncConnection, call_id: int, values: Mapping[str, Any], *conditions: ColumnElement[bool]
) -> bool:
    """Change a job that meets `conditions`; False where there is none."""
    query = update(jobs).where(jobs.c.call_id == call_id, *conditions).values(values)
    return (await tx.execute(query)).rowcount == 1


async def append(tx: AsyncConnection, response_id: str, seq: int, blocks: bytes) -> None:
    """Insert events."""
    await rows.insert(tx, "response_events", _EVENTS, [(response_id, seq, blocks)])


async def last_event(connection: AsyncConnection, response_id: str) -> int:
    """Return the number of the last event of a response, -1 where none was told."""
    query = select(func.max(response_events.c.seq))
    query = query.where(response_events.c.response_id == response_id)
    found = (await connection.execute(query)).scalar_one()
    return -1 if found is None else int(found)


async def forget_events(tx: AsyncConnection, response_id: str, after: int) -> None:
    """Delete the events of a response behind a number."""
    query = delete(response_events).where(response_events.c.response_id == response_id)
    await tx.execute(query.where(response_events.c.seq > after))


async def events(
    connection: AsyncConnection, response_id: str, after: int, most: int
) -> Sequence[Values]:
    """Return the rows that hold the events of a response behind a number, the next ones first."""
    return await fetch(connection, _AFTER, {"id": response_id, "after": after, "most": most})


async def told(
    connection: AsyncConnection, response_id: str, after: int, most: int
) -> Sequence[Values]:
    """Return where a job stands, beside each of the rows that `events` returns; none: no job.

    Where no events follow there is one row, without them.
    """
    return await fetch(connection, _TOLD, {"id": response_id, "after": after, "most": most})


def is_in(*states: State) -> ColumnElement[bool]:
    """Say that a job is in one of `states`."""
    return jobs.c.state.in_(states)


def is_of(claimer: str) -> ColumnElement[bool]:
    """Say that a process has claimed it."""
    return jobs.c.claimed_by == claimer


def is_kept() -> ColumnElement[bool]:
    """Say that nobody cancelled it."""
    return jobs.c.cancel_requested.is_(False)
