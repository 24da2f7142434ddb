"""Responses in the background, from their acceptance to their end, over a scripted upstream."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from meterway.db.engine import reading, transaction
from meterway.edge.openai.responses.making import Maker, claim, take_back
from meterway.jobs import service as jobs
from meterway.jobs.errors import JobLostError
from meterway.jobs.types import MOST_ATTEMPTS, State
from meterway.keys import service as keys
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.journal import service as journals
from meterway.relay.billing import Billing
from meterway.relay.record import Outcome
from meterway.threads import service as threads
from tests.factories.relays import Relay, channel
from tests.factories.shelves import open_shelf
from tests.fakes.transport import stream

PATH = "/v1/responses"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_events = TypeAdapter[ResponseStreamEvent](ResponseStreamEvent)


def _chunk(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({**_CHUNK, 'choices': choices, **more})}\n\n".encode()


FIRST = _chunk({"role": "assistant", "content": "hel"})
REST = [
    _chunk({"content": "lo"}),
    _chunk({}, "stop"),
    f"data: {json.dumps({**_CHUNK, 'choices': [], 'usage': USAGE})}\n\n".encode(),
    b"data: [DONE]\n\n",
]


class _Broke(Billing):
    """Nobody can pay."""

    def __init__(self) -> None:
        """Know of no prices: nobody gets so far."""

    def at_once(self, call, caller, record):
        raise InsufficientBalanceError("The balance does not cover this call; top it up.")


class Stage:
    """A worker's endpoints and a process that makes jobs, over one scripted upstream."""

    def __init__(self, kept, relay, name) -> None:
        self.kept, self.relay, self.name = kept, relay, name
        self.engine = kept.engine
        self.maker = Maker(kept.engine, relay.clock, relay.gate, lambda: None)

    async def queue(self, **more):
        """Ask for a response in the background; return its id."""
        response = await self.kept.told(f"POST {PATH}", {**ASK, **more})
        return response["id"]

    async def claimed(self):
        job = await claim(self.engine, self.name)
        assert job is not None
        return job

    async def make(self):
        """Make the job whose turn it is."""
        await self.maker.make(await self.claimed())

    async def shown(self, id_):
        return await self.kept.told(f"GET {PATH}/{id_}")

    async def told(self, id_, after=None, begun=None):
        query = "" if after is None else f"&starting_after={after}"
        return await self.kept.events(f"GET {PATH}/{id_}?stream=true{query}", begun=begun)

    async def job(self, id_):
        async with reading(self.engine) as connection:
            return await jobs.of_response(connection, id_)

    async def appended(self, id_):
        """Wait until a batch was appended by the run under way."""
        async with asyncio.timeout(5):
            while True:
                async with reading(self.engine) as connection:
                    if await jobs.events(connection, id_, 1):
                        return

    async def told_so_far(self, id_):
        """Return the number of the last event that was appended."""
        async with reading(self.engine) as connection:
            return await jobs.next_event(connection, id_) - 1

    async def die(self):
        """Let the process that claims be dead, as the settler finds it, and another begin."""
        async with transaction(self.engine) as tx:
            known = await journals.named(tx, [self.name])
            await journals.close(tx, known[self.name].id, 2.0)
            self.name += "x"
            await journals.register(tx, self.name, "place", 1.0)


ASK = {"model": "m", "input": "hi", "background": True}


@asynccontextmanager
async def staged(engine, *answers, **facts):
    relay = Relay(*answers, **facts)
    async with open_shelf(engine, relay) as kept:
        async with transaction(engine) as tx:
            await journals.register(tx, "backstage-1", "place", 1.0)
        stage = Stage(kept, relay, "backstage-1")
        yield stage
        await stage.maker.close()


class Gated:
    """An upstream that says `FIRST`, and the rest once it may."""

    def __init__(self) -> None:
        self.begun, self.may = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        await self.may.wait()

    @property
    def answer(self):
        return stream(FIRST, self.wait, *REST)


async def test_a_response_is_queued_at_once_and_completed_later(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        queued = await stage.kept.told(f"POST {PATH}", ASK)
        before = await stage.shown(queued["id"])
        job = await stage.claimed()
        running = await stage.shown(queued["id"])
        await stage.maker.make(job)
        made = await stage.shown(queued["id"])

    assert before == queued
    shown = [Response.model_validate(one) for one in (queued, running, made)]
    assert [one.status for one in shown] == ["queued", "in_progress", "completed"]
    assert [one.background for one in shown] == [True] * 3
    assert made["service_tier"] == "default"
    assert queued["service_tier"] == "auto"
    assert shown[-1].output_text == "hello"
    assert made["usage"]["input_tokens"] == 3
    (record,) = stage.relay.records
    assert (record.call_id, record.outcome) == (job.call_id, Outcome.COMPLETED)


async def test_events_are_numbered_from_acceptance_to_end_and_told_from_any_number(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        id_ = await stage.queue()
        await stage.make()
        whole = await stage.told(id_)
        rests = [await stage.told(id_, after) for after in range(len(whole) + 1)]

    for event in whole:
        _events.validate_python(event)
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    kinds = [event["type"] for event in whole]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert (
        "".join(e["delta"] for e in whole if e["type"] == "response.output_text.delta") == "hello"
    )
    assert rests == [whole[after + 1 :] for after in range(len(whole) + 1)]


async def test_two_readers_follow_what_is_being_made_to_its_end(engine):
    gate = Gated()
    async with staged(engine, gate.answer) as stage, asyncio.timeout(10):
        asked = asyncio.create_task(stage.kept.events(f"POST {PATH}", {**ASK, "stream": True}))
        async with asyncio.timeout(5):
            while (job := await claim(engine, stage.name)) is None:  # noqa: ASYNC110 - as a process looks
                await asyncio.sleep(0)
        making = asyncio.create_task(stage.maker.make(job))
        await gate.begun.wait()
        await stage.appended(job.response_id)
        later = asyncio.create_task(stage.told(job.response_id, 2))
        gate.may.set()
        await making
        first, second = await asked, await later
        whole = await stage.told(job.response_id)

    assert first == whole
    assert second == whole[3:]


async def test_one_that_is_queued_is_cancelled_at_once_and_costs_nothing(engine):
    async with staged(engine) as stage:
        id_ = await stage.queue()
        cancelled = await stage.kept.told(f"POST {PATH}/{id_}/cancel")
        again = await stage.kept.told(f"POST {PATH}/{id_}/cancel")
        nobody = await claim(engine, stage.name)
        told = await stage.told(id_)

    assert cancelled["status"] == again["status"] == "cancelled"
    assert nobody is None
    assert stage.relay.records == []
    assert [event["type"] for event in told] == ["response.created", "response.queued"]


async def test_one_that_runs_is_cut_when_it_is_cancelled_and_settled_as_far_as_it_came(engine):
    gate = Gated()
    async with staged(engine, gate.answer) as stage:
        id_ = await stage.queue()
        job = await stage.claimed()
        making = asyncio.create_task(stage.maker.make(job))
        await gate.begun.wait()
        await stage.appended(id_)

        cancelled = await stage.kept.told(f"POST {PATH}/{id_}/cancel")
        async with reading(engine) as connection:
            wanted = await jobs.wanted(connection, stage.name)
        making.cancel()
        await asyncio.wait([making])
        async with transaction(engine) as tx:
            await jobs.let_go(tx, job)
        shown, told = await stage.shown(id_), await stage.told(id_)
        ended = await stage.job(id_)

    assert cancelled["status"] == shown["status"] == "cancelled"
    assert wanted == frozenset()
    assert ended is not None
    assert ended.state is State.DONE
    (record,) = stage.relay.records
    assert (record.outcome, record.output_bytes) == (Outcome.CLIENT_GONE, 3)
    assert told[-1]["type"] == "response.output_text.delta"


async def test_an_end_that_comes_with_a_cancel_changes_nothing(engine):
    gate = Gated()
    async with staged(engine, gate.answer) as stage:
        id_ = await stage.queue()
        making = asyncio.create_task(stage.maker.make(await stage.claimed()))
        await gate.begun.wait()
        await stage.kept.told(f"POST {PATH}/{id_}/cancel")
        gate.may.set()
        with pytest.raises(JobLostError):
            await making
        shown = await stage.shown(id_)

    assert (shown["status"], shown["output"]) == ("cancelled", [])


async def test_one_that_ended_stays_when_it_is_cancelled(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        id_ = await stage.queue()
        await stage.make()
        made = await stage.shown(id_)
        cancelled = await stage.kept.told(f"POST {PATH}/{id_}/cancel")

    assert cancelled == made


async def test_a_job_of_a_dead_process_runs_again_under_its_call_id(engine):
    gate = Gated()
    async with staged(engine, gate.answer, stream(FIRST, *REST)) as stage:
        id_ = await stage.queue()
        first = await stage.claimed()
        making = asyncio.create_task(stage.maker.make(first))
        await gate.begun.wait()
        await stage.appended(id_)
        before = await stage.told_so_far(id_)
        assert await take_back(engine) == 0  # its process lives
        making.cancel()
        await asyncio.wait([making])
        stage.relay.records.clear()  # a process that is killed tells nobody

        await stage.die()
        assert await take_back(engine) == 1
        second = await stage.claimed()
        await stage.maker.make(second)
        told, shown = await stage.told(id_), await stage.shown(id_)

    assert second.call_id == first.call_id == stage.relay.records[0].call_id
    assert second.attempts == 2
    assert shown["status"] == "completed"
    numbers = [event["sequence_number"] for event in told]
    assert numbers[:2] == [0, 1]
    assert numbers[2] == before + 1  # no number is told twice
    assert told[2]["type"] == "response.in_progress"
    assert numbers[2:] == list(range(numbers[2], numbers[2] + len(numbers) - 2))


async def test_one_that_was_begun_too_often_is_given_up(engine):
    async with staged(engine) as stage:
        id_ = await stage.queue()
        for _ in range(MOST_ATTEMPTS):
            assert (await stage.claimed()).response_id == id_
            await stage.die()
            await take_back(engine)
        shown, told = await stage.shown(id_), await stage.told(id_)

    assert (shown["status"], shown["error"]["code"]) == ("failed", "server_error")
    assert f"{MOST_ATTEMPTS} times" in shown["error"]["message"]
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"] == shown


async def test_one_that_is_put_back_was_never_begun(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        await stage.queue()
        job = await stage.claimed()
        async with transaction(engine) as tx:
            await jobs.put_back(tx, job, counts=False)
        again = await stage.claimed()

    assert (job.attempts, again.attempts) == (1, 1)


async def test_a_cancelled_job_of_a_dead_process_is_over(engine):
    async with staged(engine) as stage:
        id_ = await stage.queue()
        await stage.claimed()
        await stage.kept.told(f"POST {PATH}/{id_}/cancel")
        await stage.die()
        await take_back(engine)
        nobody, shown = await claim(engine, stage.name), await stage.shown(id_)

    assert nobody is None
    assert shown["status"] == "cancelled"


async def test_who_cannot_pay_when_it_runs_gets_a_failed_response(engine):
    async with staged(engine, billing=_Broke()) as stage:
        id_ = await stage.queue()
        await stage.make()
        shown, told = await stage.shown(id_), await stage.told(id_)

    assert (shown["status"], shown["error"]["code"]) == ("failed", "insufficient_quota")
    assert [event["type"] for event in told][-1] == "response.failed"
    assert stage.relay.transport.sent == []


async def test_a_key_that_was_disabled_meanwhile_makes_nothing(engine):
    async with staged(engine) as stage:
        id_ = await stage.queue()
        job = await stage.claimed()
        async with transaction(engine) as tx:
            await keys.delete(tx, job.key_id, now=1.0)
        await stage.maker.make(job)
        async with reading(engine) as connection:
            row = await jobs.of_response(connection, id_)
            assert row is not None
            events = await jobs.events(connection, id_, 1)

    assert row.state is State.DONE
    assert b"This API key was deleted" in events[-1].blocks


async def test_what_cannot_be_served_is_refused_at_once(engine):
    async with staged(engine, channels=[channel(models={"m": "m"})]) as stage:
        unknown = await stage.kept.ask(f"POST {PATH}", {**ASK, "model": "x"})
        unstored = await stage.kept.ask(f"POST {PATH}", {**ASK, "store": False})
        zero = await stage.kept.ask(f"POST {PATH}", ASK, key="zero")
        wrong = await stage.kept.ask(f"POST {PATH}", {**ASK, "background": "yes"})
        bad = await stage.kept.ask(f"POST {PATH}", {**ASK, "tool_choice": 7})
        async with reading(engine) as connection:
            pending = await jobs.pending(connection)

    codes = [answer.json()["error"]["code"] for answer in (unknown, unstored, zero)]
    assert codes == ["model_not_found", "background_not_stored", "zero_retention"]
    assert [one.status for one in (unknown, unstored, zero, wrong, bad)] == [
        404,
        400,
        403,
        400,
        400,
    ]
    assert wrong.json()["error"]["param"] == "background"
    assert not pending


async def test_another_user_sees_none_of_it(engine):
    async with staged(engine) as stage:
        id_ = await stage.queue()
        asked = [f"GET {PATH}/{id_}", f"GET {PATH}/{id_}?stream=true", f"DELETE {PATH}/{id_}"]
        asked.append(f"POST {PATH}/{id_}/cancel")
        answers = [await stage.kept.ask(request, key="bob") for request in asked]
        job = await stage.job(id_)

    assert [answer.status for answer in answers] == [404] * 4
    assert job is not None
    assert job.state is State.QUEUED


async def test_deleting_one_that_runs_cuts_it_and_ends_what_follows_it(engine):
    gate = Gated()
    async with staged(engine, gate.answer) as stage:
        id_ = await stage.queue()
        making = asyncio.create_task(stage.maker.make(await stage.claimed()))
        await gate.begun.wait()
        await stage.appended(id_)
        following = asyncio.create_task(stage.told(id_, begun=(begun := asyncio.Event())))
        await begun.wait()
        await stage.kept.told(f"DELETE {PATH}/{id_}")
        async with reading(engine) as connection:
            wanted = await jobs.wanted(connection, stage.name)
            events = await jobs.events(connection, id_, -1)
        told = await following
        gate.may.set()
        with pytest.raises(JobLostError):
            await making

    assert wanted == frozenset()
    assert events == []
    assert told[-1]["type"] == "error"
    assert told[-1]["code"] == "response_not_found"


async def test_jobs_and_events_go_with_their_response(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        made, queued = await stage.queue(), await stage.queue()
        await stage.make()
        job = await stage.job(queued)
        assert job is not None
        async with transaction(engine) as tx:
            assert await threads.forget(tx, job.user_id) == 2
        left = [await stage.job(id_) for id_ in (made, queued)]
        async with reading(engine) as connection:
            events = await jobs.events(connection, made, -1)

    assert left == [None, None]
    assert events == []


async def test_a_conversation_gains_the_turn_when_it_is_made(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        conversation = (await stage.kept.told("POST /v1/conversations", {}))["id"]
        id_ = await stage.queue(conversation=conversation)
        await stage.make()
        items = await stage.kept.told(f"GET /v1/conversations/{conversation}/items?order=asc")
        shown = await stage.shown(id_)

    assert [item["content"][0]["text"] for item in items["data"]] == ["hi", "hello"]
    assert shown["conversation"] == {"id": conversation}


async def test_one_whose_conversation_was_deleted_is_kept_all_the_same(engine):
    async with staged(engine, stream(FIRST, *REST)) as stage:
        conversation = (await stage.kept.told("POST /v1/conversations", {}))["id"]
        id_ = await stage.queue(conversation=conversation)
        await stage.kept.told(f"DELETE /v1/conversations/{conversation}")
        with capture_logs() as logs:
            await stage.make()
        shown = await stage.shown(id_)

    assert shown["status"] == "completed"
    assert [log["event"] for log in logs] == ["response.not_appended"]


async def test_the_next_turn_goes_on_from_one_made_in_the_background(engine):
    answers = [stream(FIRST, *REST), stream(FIRST, *REST)]
    async with staged(engine, *answers) as stage:
        first = await stage.queue()
        await stage.make()
        await stage.queue(previous_response_id=first, input="and?")
        await stage.make()

    said = [message["content"] for message in stage.relay.transport.body(1)["messages"]]
    assert said == ["hi", "hello", "and?"]


async def test_a_job_that_fails_of_a_fault_of_ours_is_not_tried_for_ever(engine):
    async with staged(engine, RuntimeError("broken")) as stage:
        id_ = await stage.queue()
        with capture_logs() as logs:
            await stage.make()
        shown = await stage.shown(id_)

    assert shown["status"] == "failed"
    assert "broken" not in shown["error"]["message"]
    assert "job.failed" in [log["event"] for log in logs]


async def test_the_user_with_the_fewest_running_comes_first(engine):
    async with staged(engine) as stage:
        first, second = await stage.queue(), await stage.queue()
        bobs = (await stage.kept.told(f"POST {PATH}", ASK, key="bob"))["id"]
        claimed = [(await stage.claimed()).response_id for _ in range(3)]

    assert claimed == [first, bobs, second]
