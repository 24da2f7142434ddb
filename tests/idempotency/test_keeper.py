"""The keeper against a database that fails, callers who are cancelled, and time."""

import asyncio

import pytest
from sqlalchemy import event, text

from meterway.db.engine import transaction
from meterway.idempotency import service
from meterway.idempotency.errors import IdempotencyKeyInUseError
from meterway.idempotency.keeper import Keeper
from meterway.idempotency.types import Claim, Kept
from meterway.kit.crypto import Box
from meterway.kit.errors import UnavailableError
from meterway.kit.secret_file import SecretFileError
from tests.fakes.clock import FakeClock

BOX = Box([b"s" * 32])
ASKED = service.asked(1, b"n", "POST", "/v1/x", b"{}")
REPLY = Kept("req_1", 200, (), b"answer")


class Secret:
    """The secret file, which may be away."""

    away = False

    def __call__(self) -> Box:
        if self.away:
            raise SecretFileError("gone")
        return BOX


class Place:
    """A keeper on a database that can be taken away."""

    def __init__(self, engine) -> None:
        self.engine = engine
        self.clock = FakeClock(patient=True)
        self.secret = Secret()
        self.keeper = self.another("one")

    def another(self, process: str) -> Keeper:
        return Keeper(self.engine, self.clock, self.secret, process)

    async def claim(self, call_id=1, keeper=None):
        return await (keeper or self.keeper).claim(ASKED, call_id, service.never_free)

    async def rename(self, old: str, new: str) -> None:
        async with transaction(self.engine) as tx:
            await tx.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async def take_away(self) -> None:
        await self.rename("repeatable_replies", "hidden")

    async def give_back(self) -> None:
        await self.rename("hidden", "repeatable_replies")

    async def count(self) -> int:
        async with transaction(self.engine) as tx:
            found = await tx.execute(text("SELECT count(*) FROM repeatable_replies"))
            return int(found.scalar_one())


@pytest.fixture
async def place(engine):
    made = Place(engine)
    yield made
    await made.keeper.close()


async def until(holds) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 - what is awaited happens in a database
            await asyncio.sleep(0)


async def test_a_reply_outlives_the_process_that_gave_it(place):
    claim = await place.claim()
    await place.keeper.keep(claim, REPLY)
    await place.keeper.close()

    again = await place.claim(1, place.another("two"))

    assert again == REPLY


async def test_a_released_request_runs_again(place):
    await place.keeper.release(await place.claim())

    assert isinstance(await place.claim(2), Claim)


async def test_a_database_that_fails_lets_nothing_run(place):
    await place.take_away()

    with pytest.raises(UnavailableError) as refused:
        await place.claim()

    await place.give_back()
    assert refused.value.retry_after == 1
    assert await place.count() == 0


async def test_an_end_that_could_not_be_written_is_written_later(place):
    claim = await place.claim()
    await place.take_away()
    await place.keeper.keep(claim, REPLY)
    await place.give_back()
    with pytest.raises(IdempotencyKeyInUseError):
        await place.claim(2)

    place.clock.advance(1)

    async def is_kept():
        try:
            return await place.claim(2) == REPLY
        except IdempotencyKeyInUseError:
            return False

    await until(is_kept)


async def test_a_claim_whose_commit_is_uncertain_is_undone(place):
    fails = [True]

    def commit(connection):
        if fails and fails.pop():
            connection.exec_driver_sql("COMMIT")
            raise OSError("the connection broke after the commit")

    event.listen(place.engine.sync_engine, "commit", commit)
    with pytest.raises(UnavailableError):
        await place.claim()
    await place.keeper.close()

    assert await place.count() == 0


async def test_who_is_cancelled_while_claiming_holds_nothing(place):
    claiming = asyncio.create_task(place.claim())
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await place.keeper.close()

    assert await place.count() == 0


async def test_who_is_cancelled_while_ending_has_ended(place):
    claim = await place.claim()
    ending = asyncio.create_task(place.keeper.keep(claim, REPLY))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await place.keeper.close()

    assert await place.claim(2) == REPLY


async def test_what_runs_is_renewed_and_what_ended_is_not(place):
    await place.claim()
    renewing = asyncio.create_task(place.keeper.run())
    ended = await place.keeper.claim(
        service.asked(1, b"other", "POST", "/", b""), 2, service.never_free
    )
    await place.keeper.keep(ended, REPLY)

    async def expiries():
        async with transaction(place.engine) as tx:
            query = text("SELECT expires_at FROM repeatable_replies ORDER BY expires_at")
            return [row[0] / 1000 - place.clock.now() for row in await tx.execute(query)]

    await asyncio.sleep(0)
    place.clock.advance(10)

    async def is_renewed():
        return (await expiries())[0] == service.LEASE_SECONDS

    await until(is_renewed)
    renewing.cancel()
    assert await expiries() == [service.LEASE_SECONDS, service.KEPT_SECONDS - 10]


async def test_a_renewal_that_fails_is_tried_again(place):
    await place.claim()
    renewing = asyncio.create_task(place.keeper.run())
    await asyncio.sleep(0)
    await place.take_away()
    place.clock.advance(10)

    async def sleeps_again():
        return len(place.clock.slept) == 2

    await until(sleeps_again)
    await place.give_back()

    assert not renewing.done()
    renewing.cancel()


async def test_without_a_secret_nothing_is_begun(place):
    place.secret.away = True

    with pytest.raises(SecretFileError):
        await place.claim()

    assert await place.count() == 0


async def test_a_secret_that_went_away_costs_the_reply_and_runs_nothing_twice(place):
    claim = await place.claim()
    place.secret.away = True

    await place.keeper.keep(claim, REPLY)

    place.secret.away = False
    with pytest.raises(IdempotencyKeyInUseError):
        await place.claim(2)
    assert place.keeper._running == {}


async def test_closing_does_not_wait_for_a_database_that_is_away(place):
    claim = await place.claim()
    await place.take_away()
    await place.keeper.keep(claim, REPLY)

    async with asyncio.timeout(5):
        await place.keeper.close()

    assert list(place.keeper._running.values()) == [claim]
