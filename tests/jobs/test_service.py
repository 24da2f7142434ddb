"""Jobs on a real database: claimed once by whoever is first, bounded, and left to nobody else."""

import asyncio

import pytest
from sqlalchemy import text

from meterway.db.engine import reading, transaction
from meterway.jobs import service as jobs
from meterway.jobs.errors import JobLostError, TooManyJobsError
from meterway.jobs.types import Batch, Job, Pending, State
from meterway.ledger.journal import service as journals
from meterway.threads.responses import service as responses
from meterway.threads.types import StoredResponse


async def queue(engine, number, user=1, **limits):
    id_ = f"resp_{number}"
    response = StoredResponse(
        id=id_,
        user_id=user,
        key_id=1,
        created_at=number,
        status="queued",
        model="m",
        input=b"[]",
        body=b"{}",
        output=b"[]",
    )
    job = Job(
        call_id=number,
        response_id=id_,
        user_id=user,
        key_id=1,
        payload=b"{}",
        created_at=number,
        next_event=2,
    )
    async with transaction(engine) as tx:
        await responses.add(tx, response)
        await jobs.add(tx, job, **limits)
    return id_


async def claim(engine, claimer="p"):
    async with transaction(engine) as tx:
        return await jobs.claim(tx, claimer)


async def test_claimers_at_once_share_the_jobs_and_take_none_twice(engine):
    for number in range(6):
        await queue(engine, number)

    claimed = await asyncio.gather(*(claim(engine, f"p{i % 3}") for i in range(8)))

    taken = [job.call_id for job in claimed if job is not None]
    assert sorted(taken) == list(range(6))
    async with reading(engine) as connection:
        assert await jobs.pending(connection) == Pending(queued=False, running=True)


async def test_a_user_has_so_many_that_are_not_done(engine):
    await queue(engine, 1, most=1)

    with pytest.raises(TooManyJobsError) as refused:
        await queue(engine, 2, most=1)
    await queue(engine, 3, user=2, most=1)
    job = await claim(engine)
    assert job is not None
    async with transaction(engine) as tx:
        await jobs.finish(tx, job)
    await queue(engine, 4, most=1)

    assert (refused.value.status, refused.value.retryable) == (429, True)


async def test_what_was_said_is_not_kept_twice_once_a_job_is_done(engine):
    await queue(engine, 1)
    job = await claim(engine)
    assert job is not None
    assert job.payload == b"{}"

    async with transaction(engine) as tx:
        await jobs.finish(tx, job)

    async with reading(engine) as connection:
        kept = (await connection.execute(text("SELECT payload FROM jobs"))).scalar_one()
    assert bytes(kept) == b""


async def test_who_lost_a_job_cannot_end_it(engine):
    id_ = await queue(engine, 1)
    lost = await claim(engine, "dead")
    assert lost is not None
    async with reading(engine) as connection:
        orphans = await jobs.orphans(connection)
    async with transaction(engine) as tx:
        await jobs.put_back(tx, orphans[0], counts=True)
        await journals.register(tx, "alive", "place", 1.0)
    taken = await claim(engine, "alive")

    for end in (jobs.finish, jobs.let_go):
        try:
            async with transaction(engine) as tx:
                await end(tx, lost)
        except JobLostError:
            assert end is jobs.finish
    async with reading(engine) as connection:
        found = await jobs.of_response(connection, id_)
        assert await jobs.orphans(connection) == []

    assert taken is not None
    assert found is not None
    assert (found.state, found.claimed_by, found.attempts) == (State.RUNNING, "alive", 2)


@pytest.mark.parametrize("counts", [True, False])
async def test_a_later_run_forgets_what_an_earlier_told_and_numbers_on(engine, counts):
    id_ = await queue(engine, 1)
    async with transaction(engine) as tx:
        await jobs.append(tx, id_, Batch(1, b"queued"))
    first = await claim(engine)
    assert first is not None
    async with transaction(engine) as tx:
        await jobs.append(tx, id_, Batch(7, b"told"))
        await jobs.put_back(tx, first, counts=counts)

    again = await claim(engine)

    assert again is not None
    async with reading(engine) as connection:
        assert await jobs.events(connection, id_, -1) == [Batch(1, b"queued")]
    assert (first.next_event, again.next_event) == (2, 8)
    assert again.attempts == 1 + counts


async def test_events_of_a_response_that_is_gone_are_told_to_nobody(engine):
    with pytest.raises(JobLostError):
        async with transaction(engine) as tx:
            await jobs.append(tx, "resp_0", Batch(0, b"x"))
