"""What the database knows of journals: positions move once, closed ones rest."""

import pytest

from meterway.db.engine import reading, transaction
from meterway.ledger.journal import service as journals
from meterway.ledger.journal.errors import JournalFullError, JournalMovedError
from meterway.ledger.journal.reader import BEGINNING
from meterway.ledger.journal.types import Cursor


@pytest.fixture
async def journal_id(engine):
    async with transaction(engine) as tx:
        return await journals.register(tx, "w", "here", 5.0)


async def _named(engine, *names):
    async with reading(engine) as connection:
        return await journals.named(connection, names)


async def test_journal_begins_at_its_beginning(engine, journal_id):
    found = await _named(engine, "w", "other")

    assert found.keys() == {"w"}
    assert (found["w"].id, found["w"].place) == (journal_id, "here")
    assert (found["w"].cursor, found["w"].is_closed) == (BEGINNING, False)


async def test_position_moves_from_where_it_is_alone(engine, journal_id):
    there = Cursor(2, 900)
    async with transaction(engine) as tx:
        await journals.advance(tx, journal_id, BEGINNING, there)

    with pytest.raises(JournalMovedError):
        async with transaction(engine) as tx:
            await journals.advance(tx, journal_id, BEGINNING, Cursor(3, 8))

    assert (await _named(engine, "w"))["w"].cursor == there


async def test_closed_journal_moves_no_more_and_closes_once(engine, journal_id):
    async with transaction(engine) as tx:
        await journals.close(tx, journal_id, 6.0)

    for change in (
        lambda tx: journals.close(tx, journal_id, 7.0),
        lambda tx: journals.advance(tx, journal_id, BEGINNING, Cursor(2, 8)),
    ):
        with pytest.raises(JournalMovedError):
            async with transaction(engine) as tx:
                await change(tx)

    async with reading(engine) as connection:
        assert await journals.unclosed(connection) == []


def test_folder_keeps_its_name(tmp_path):
    first = journals.place_of(tmp_path / "journals")

    assert (journals.place_of(tmp_path / "journals"), len(first)) == (first, 20)
    assert journals.place_of(tmp_path / "other") != first


def test_folder_that_cannot_be_named_is_told_as_a_passing_fault(tmp_path):
    (tmp_path / "journals").write_bytes(b"a file")

    with pytest.raises(JournalFullError) as refused:
        journals.place_of(tmp_path / "journals")

    assert refused.value.retry_after
