"""A call whose worker is gone runs again only where no charge can ever come."""

import pytest

from meterway.db.engine import reading, transaction
from meterway.idempotency.types import Fate, Holder
from meterway.jobs import service as jobs
from meterway.jobs.types import Job
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.service import Names
from meterway.ledger.charges.types import Funding
from meterway.ledger.journal import service as journals
from meterway.processes.fates import fate_of
from meterway.threads.responses import service as responses
from meterway.threads.types import StoredResponse
from tests.factories.charges import new_record


async def _fate(engine, *, closed: bool, charged: bool) -> Fate:
    async with transaction(engine) as tx:
        number = await journals.register(tx, "worker-0-x", "place", 0.0)
        if closed:
            await journals.close(tx, number, 1.0)
        if charged:
            await charges.post(tx, Names(), 1, [new_record(call_id=7, funding=Funding.DUE)], {})
    async with reading(engine) as connection:
        return await fate_of(connection, Holder("worker-0-x", 7))


@pytest.mark.parametrize(
    ("closed", "charged", "fate"),
    [
        (False, False, Fate.UNKNOWN),
        (False, True, Fate.UNKNOWN),
        (True, True, Fate.CHARGED),
        (True, False, Fate.FREE),
    ],
)
async def test_only_a_closed_journal_tells(engine, closed, charged, fate):
    assert await _fate(engine, closed=closed, charged=charged) is fate


async def test_a_call_that_a_job_makes_does_not_run_again(engine):
    response = StoredResponse(
        id="resp_1",
        user_id=1,
        key_id=1,
        created_at=1,
        status="queued",
        model="m",
        input=b"[]",
        body=b"{}",
        output=b"[]",
    )
    job = Job(call_id=7, response_id="resp_1", user_id=1, key_id=1, payload=b"{}", created_at=1)
    async with transaction(engine) as tx:
        await responses.add(tx, response)
        await jobs.add(tx, job)

    assert await _fate(engine, closed=True, charged=False) is Fate.CHARGED


async def test_a_process_nobody_registered_is_unknown(engine):
    async with reading(engine) as connection:
        assert await fate_of(connection, Holder("worker-9-y", 7)) is Fate.UNKNOWN
