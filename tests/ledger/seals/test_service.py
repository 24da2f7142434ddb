"""The chain of seals: it covers every batch and every entry, and shows each change."""

import pytest
from sqlalchemy import text

from meterway.db.engine import reading, transaction
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Entry, Kind
from meterway.ledger.seals import service as seals
from meterway.ledger.seals.types import GENESIS, Erased

CONTENT = seals.digest([(1, b"a charge")])


async def _enter(engine, amount=5):
    entry = Entry(
        kind="top_up",
        postings=((Account(Kind.PAID, 7), amount), (Account(Kind.CASH), -amount)),
        at=1.5,
        user_id=7,
        reason="paid by card",
    )
    async with transaction(engine) as tx:
        await books.post(tx, entry)


async def _seal(engine, charges=1, content=CONTENT):
    async with transaction(engine) as tx:
        await books.lock(tx)
        before = await seals.last(tx)
        return await seals.add(tx, before, charges=charges, content=content, at=2.5)


async def _broken(engine):
    async with reading(engine) as connection:
        return await seals.broken(connection)


@pytest.fixture
async def sealed(engine):
    """Three seals over two entries and one over nothing new."""
    await _enter(engine)
    await _seal(engine)
    await _seal(engine, 0, seals.digest(()))
    await _enter(engine, 6)
    await _seal(engine)
    return engine


async def test_chain_begins_with_nothing(engine):
    async with reading(engine) as connection:
        assert await seals.last(connection) == GENESIS
        assert await seals.broken(connection) == []


async def test_seals_count_up_and_cover_entries_once(sealed):
    async with reading(sealed) as connection:
        last = await seals.last(connection)
        all_ = await seals.following(connection, 0, 10)

    assert [(one.batch, one.last_entry) for one in all_] == [(1, 1), (2, 1), (3, 2)]
    assert last == all_[-1]
    assert await _broken(sealed) == []


async def test_same_facts_after_another_past_have_another_digest(engine):
    first = await _seal(engine)
    second = await _seal(engine)

    assert first.digest != second.digest


async def test_entries_that_are_not_sealed_yet_break_nothing(sealed):
    await _enter(sealed)

    assert await _broken(sealed) == []


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE postings SET amount = amount + 1 WHERE entry_id = 1", "seal 1 "),
        ("UPDATE book_accounts SET owner = 8 WHERE owner = 7", "seal 1 "),
        ("UPDATE book_accounts SET kind = 'free' WHERE owner = 7", "seal 1 "),
        ("UPDATE entries SET at = 9 WHERE id = 1", "seal 1 "),
        ("UPDATE entries SET kind = 'grant' WHERE id = 2", "seal 3 "),
        ("UPDATE entries SET user_id = NULL WHERE id = 2", "seal 3 "),
        ("UPDATE entries SET reference = 'x' WHERE id = 2", "seal 3 "),
        ("UPDATE entries SET reverses = 5 WHERE id = 2", "seal 3 "),
        ("UPDATE entries SET reason = '' WHERE id = 2", "seal 3 "),
        ("DELETE FROM postings WHERE entry_id = 2", "seal 3 "),
        ("UPDATE seals SET at = at + 1 WHERE batch = 2", "seal 2 "),
        ("UPDATE seals SET charges = 2 WHERE batch = 2", "seal 2 "),
        ("UPDATE seals SET last_entry = 0 WHERE batch = 2", "seal 2 "),
        ("UPDATE seals SET last_entry = 5 WHERE batch = 3", "seal 3 "),
        ("UPDATE seals SET content = digest WHERE batch = 1", "seal 1 "),
        ("UPDATE seals SET digest = content WHERE batch = 1", "seal 1 "),
        ("DELETE FROM seals WHERE batch = 1", "seals 1 to 1 are missing"),
        ("DELETE FROM seals WHERE batch = 2", "seals 2 to 2 are missing"),
        (
            "INSERT INTO entries (id, at, kind, reason) VALUES (0, 1, 'grant', '')",
            "1 entries have numbers below 1",
        ),
    ],
)
async def test_every_change_of_what_is_sealed_shows(sealed, change, first):
    async with transaction(sealed) as tx:
        await tx.execute(text(change))

    found = await _broken(sealed)

    assert found[0].startswith(first) if first else found == [], found


async def test_long_past_is_walked_in_pieces(sqlite):
    async with transaction(sqlite) as tx:
        await tx.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
                "INSERT INTO entries (id, at, kind, reason) SELECT i, i, 'x', '' FROM n"
            )
        )
    await _seal(sqlite)
    async with transaction(sqlite) as tx:
        await tx.execute(text("UPDATE entries SET at = 0 WHERE id = 20001"))

    assert len(await _broken(sqlite)) == 1


async def test_erasures_tell_what_stayed(engine):
    ranges = [[Erased(1, 3)], [Erased(5, 5, 2, b"x"), Erased(6, 6, 0, b"y")], [Erased(4, 4)]]
    for erased in ranges:
        async with transaction(engine) as tx:
            await seals.add_erasure(tx, await seals.last(tx), erased, charges=4, at=2.5)
    async with transaction(engine) as tx:
        again = [Erased(5, 5, 1, b"z")]
        await seals.add_erasure(tx, await seals.last(tx), again, charges=1, at=2.5)

    async with reading(engine) as connection:
        through, parts = await seals.erasures(connection)

    assert through == 4
    assert parts == {5: Erased(5, 5, 1, b"z"), 6: Erased(6, 6, 0, b"y")}
    assert await _broken(engine) == []
