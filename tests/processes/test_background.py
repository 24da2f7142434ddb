"""The backstage process's crew beside a whole worker: background jobs made, cut, interrupted."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from meterway.db.engine import reading
from meterway.jobs import service as jobs
from meterway.jobs.types import State
from meterway.processes.background import Background
from meterway.processes.crew import Crew
from tests.factories.workers import MODEL, SLOW, USD, open_worker
from tests.fakes.clock import FakeClock

PATH = "/v1/responses"
TEXT = "one two three four five six seven eight nine ten"


class Backstage:
    """What the backstage process has of background jobs, beside a worker, on a clock of its own."""

    def __init__(self, worker) -> None:
        self.worker = worker
        self.clock = FakeClock(patient=True)
        self.crews = 0
        self.background = Background(worker.engine, self.clock, worker.place.queue, self.open)

    async def open(self):
        self.crews += 1
        place, settings = self.worker.place, self.worker.settings
        crew = Crew(settings, self.worker.engine, self.clock, place)
        await crew.start()
        return crew

    async def until(self, id_, *states):
        """Let turns follow each other, and time pass, until a job is in one of `states`."""
        async with asyncio.timeout(10):
            while True:
                await self.background.turn()
                async with reading(self.worker.engine) as connection:
                    job = await jobs.of_response(connection, id_)
                assert job is not None
                if job.state in states:
                    return job
                self.clock.advance(1.0)

    async def told(self, id_, number):
        """Let time pass until a response has told `number` events."""
        async with asyncio.timeout(10):
            while True:
                async with reading(self.worker.engine) as connection:
                    if await jobs.next_event(connection, id_) >= number:
                        return
                self.clock.advance(0.25)


@asynccontextmanager
async def staged(engine, folder, **flags):
    async with open_worker(engine, folder, **flags) as worker:
        await worker.give(wallet=USD)
        stage = Backstage(worker)
        yield worker, stage
        await stage.background.close(0)


async def queued(worker, model=MODEL, **more):
    ask = {"model": model, "input": TEXT, "background": True, **more}
    answer = await worker.ask(f"POST {PATH}", ask)
    assert answer.status == 200, answer.body
    assert answer.json()["status"] == "queued"
    return answer.json()["id"], answer.headers["x-request-id"]


async def shown(worker, id_):
    return (await worker.ask(f"GET {PATH}/{id_}")).json()


async def told_receipt(worker, name):
    return (await worker.ask(f"GET /api/v1/user/receipts/{name}")).json()["data"]


@pytest.mark.parametrize("sync", ["relaxed", "always"])
async def test_a_job_is_made_and_paid_under_the_id_of_its_request(engine, tmp_path, sync):
    async with staged(engine, tmp_path, journal_sync=sync) as (worker, stage):
        id_, name = await queued(worker)
        before = await worker.posted()
        await stage.until(id_, State.DONE)
        made = await shown(worker, id_)
        (call,) = await worker.posted()

    assert before == []
    assert made["status"] == "completed"
    assert TEXT in made["output"][0]["content"][0]["text"]
    assert f"req_{call.call_id:016x}" == name
    assert call.price > 0


async def test_no_crew_is_made_before_the_first_job(sqlite, tmp_path):
    async with staged(sqlite, tmp_path) as (_, stage):
        taken = [await stage.background.turn() for _ in range(3)]

        assert (taken, stage.crews) == ([0, 0, 0], 0)


async def test_no_more_than_so_many_run_at_once(sqlite, tmp_path):
    async with staged(sqlite, tmp_path, background_jobs=2) as (worker, stage):
        ids = [(await queued(worker, SLOW))[0] for _ in range(3)]
        await stage.until(ids[0], State.RUNNING)
        async with reading(sqlite) as connection:
            states = [await jobs.of_response(connection, id_) for id_ in ids]
        for id_ in ids:
            await stage.until(id_, State.DONE)

    running = [job.state for job in states if job is not None]
    assert running == [State.RUNNING, State.RUNNING, State.QUEUED]


async def test_a_running_one_that_is_cancelled_is_cut_and_charged_as_far_as_it_came(
    engine, tmp_path
):
    async with staged(engine, tmp_path) as (worker, stage):
        id_, name = await queued(worker, SLOW)
        await stage.until(id_, State.RUNNING)
        await stage.told(id_, 6)
        await worker.ask(f"POST {PATH}/{id_}/cancel")
        await stage.until(id_, State.DONE)
        response = await shown(worker, id_)
        (call,) = await worker.posted()
        receipt = await told_receipt(worker, name)

    assert response["status"] == "cancelled"
    assert (receipt["outcome"], receipt["policy"]) == ("client_gone", "cut")
    assert call.price > 0


async def test_what_the_end_interrupts_is_made_again_and_charged_once_as_a_whole(engine, tmp_path):
    async with staged(engine, tmp_path) as (worker, stage):
        id_, name = await queued(worker, SLOW)
        await stage.until(id_, State.RUNNING)
        await stage.told(id_, 6)
        await stage.background.close(0)
        async with reading(engine) as connection:
            job = await jobs.of_response(connection, id_)
        free = await worker.posted()

        stage.background = Background(engine, stage.clock, worker.place.queue, stage.open)
        await stage.until(id_, State.DONE)
        made = await shown(worker, id_)
        calls = await worker.posted()
        receipt = await told_receipt(worker, name)

    assert job is not None
    assert (job.state, job.attempts) == (State.QUEUED, 0)
    assert free == []
    assert made["status"] == "completed"
    assert len(calls) == 1
    assert receipt["outcome"] == "completed"


async def test_who_cannot_pay_by_then_gets_a_failed_response(engine, tmp_path):
    async with open_worker(engine, tmp_path) as worker:
        stage = Backstage(worker)
        id_, _ = await queued(worker)
        await stage.until(id_, State.DONE)
        response = await shown(worker, id_)
        calls = await worker.posted()
        await stage.background.close(0)

    assert (response["status"], response["error"]["code"]) == ("failed", "insufficient_quota")
    assert calls == []


async def test_a_request_that_is_repeated_under_its_key_makes_one_job(sqlite, tmp_path):
    async with staged(sqlite, tmp_path) as (worker, stage):
        ask = {"model": MODEL, "input": TEXT, "background": True}
        more = ("idempotency-key: once",)
        first, second = [await worker.ask(f"POST {PATH}", ask, more=more) for _ in range(2)]
        await stage.until(first.json()["id"], State.DONE)
        calls = await worker.posted()

    assert second.json() == first.json()
    assert len(calls) == 1


async def test_a_job_that_is_deleted_while_it_runs_is_cut(sqlite, tmp_path):
    async with staged(sqlite, tmp_path) as (worker, stage):
        id_, name = await queued(worker, SLOW)
        await stage.until(id_, State.RUNNING)
        await stage.told(id_, 6)
        await worker.ask(f"DELETE {PATH}/{id_}")
        async with asyncio.timeout(10):
            while not await worker.posted():
                await stage.background.turn()
                stage.clock.advance(0.6)
        receipt = await told_receipt(worker, name)

    assert (receipt["outcome"], receipt["policy"]) == ("client_gone", "cut")


async def test_jobs_are_made_where_nothing_is_billed(sqlite, tmp_path):
    async with staged(sqlite, tmp_path, billing=False) as (worker, stage):
        id_, _ = await queued(worker)
        await stage.until(id_, State.DONE)
        made = await shown(worker, id_)
        calls = await worker.posted()

    assert made["status"] == "completed"
    assert calls == []
