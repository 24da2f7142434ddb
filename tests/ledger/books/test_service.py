"""The books: entries add up, happen once, and their balances move with them alone."""

import asyncio

import msgspec
import pytest
from sqlalchemy import text

from meterway.db.engine import reading, transaction
from meterway.kit.money import MOST
from meterway.ledger.books import service as books
from meterway.ledger.books.errors import BadEntryError
from meterway.ledger.books.types import Account, Entry, Kind, Pots

FREE, PAID, DUE = (Account(kind, 7) for kind in (Kind.FREE, Kind.PAID, Kind.DUE))
CASH, REVENUE = Account(Kind.CASH), Account(Kind.REVENUE)


def _entry(*postings, **facts):
    entry = Entry(kind="top_up", postings=postings, at=5.25, user_id=7)
    return msgspec.structs.replace(entry, **facts)


async def _post(engine, entry):
    async with transaction(engine) as tx:
        return await books.post(tx, entry)


async def _balances(engine, *accounts):
    async with reading(engine) as connection:
        found = await books.balances(connection, accounts)
    return [found[account] for account in accounts]


async def _broken(engine):
    async with reading(engine) as connection:
        return await books.broken(connection)


async def test_entry_moves_the_balances_it_names(engine):
    await _post(engine, _entry((PAID, 30), (CASH, -30)))
    await _post(engine, _entry((PAID, -10), (FREE, 4), (CASH, 6)))

    assert await _balances(engine, PAID, FREE, CASH, DUE) == [20, 4, -24, 0]
    assert await _broken(engine) == []


async def test_reference_happens_once(engine):
    first = await _post(engine, _entry((PAID, 3), (CASH, -3), reference="stripe:1"))
    again = await _post(engine, _entry((PAID, 9), (CASH, -9), reference="stripe:1"))

    assert (first is None, again) == (False, None)
    assert await _balances(engine, PAID, CASH) == [3, -3]


async def test_reference_happens_once_however_many_post_it(engine):
    entry = _entry((PAID, 3), (CASH, -3), reference="stripe:1")

    posted = await asyncio.gather(*(_post(engine, entry) for _ in range(12)))

    assert len([one for one in posted if one is not None]) == 1
    assert await _balances(engine, PAID) == [3]


async def test_numbers_are_committed_in_their_order(engine):
    seen: list[int] = []

    async def post_and_look():
        async with transaction(engine) as tx:
            number = await books.post(tx, _entry((PAID, 1), (CASH, -1)))
            assert number is not None
            seen.append(number)
            await asyncio.sleep(0)
            rows = await tx.execute(text("SELECT MAX(id) FROM entries"))
            assert rows.scalar_one() == number

    await asyncio.gather(*(post_and_look() for _ in range(12)))

    assert seen == sorted(seen)


@pytest.mark.parametrize(
    "postings",
    [
        (),
        ((PAID, 5), (CASH, -4)),
        ((PAID, 0), (CASH, 0)),
        ((PAID, 5), (PAID, -5)),
        ((PAID, MOST + 1), (CASH, -MOST - 1)),
    ],
)
async def test_entry_that_does_not_add_up_is_refused(sqlite, postings):
    with pytest.raises(BadEntryError):
        await _post(sqlite, _entry(*postings))

    assert await _balances(sqlite, PAID) == [0]


@pytest.mark.parametrize(
    "facts", [{"reason": "\0"}, {"reason": "a" * 256}, {"reference": "b" * 97}]
)
async def test_texts_that_cannot_be_stored_are_refused(sqlite, facts):
    with pytest.raises(BadEntryError):
        await _post(sqlite, _entry((PAID, 5), (CASH, -5), **facts))


async def test_balance_that_would_not_fit_is_refused(engine):
    for _ in range(8):
        await _post(engine, _entry((PAID, MOST), (CASH, -MOST)))

    with pytest.raises(BadEntryError):
        await _post(engine, _entry((PAID, 1), (CASH, -1)))
    assert await _balances(engine, PAID) == [8 * MOST]


async def test_undone_entry_leaves_nothing(engine):
    entry = _entry((PAID, 3), (CASH, -3), reference="x")

    async with engine.connect() as connection:
        await books.post(connection, entry)
        await connection.rollback()

    assert await _balances(engine, PAID, CASH) == [0, 0]
    assert await _post(engine, entry) is not None


async def test_moves_of_many_accounts_are_one_batch(engine):
    deltas = {Account(Kind.PAID, user): -user for user in range(1, 1200)}

    async with transaction(engine) as tx:
        await books.move(tx, {**deltas, REVENUE: 5, CASH: 0})
        await books.move(tx, {REVENUE: 6})

    assert await _balances(engine, Account(Kind.PAID, 1199), REVENUE, CASH) == [-1199, 11, 0]


async def test_opposite_moves_at_once_do_not_block_each_other(engine):
    async def move(*accounts):
        async with transaction(engine) as tx:
            await books.move(tx, dict.fromkeys(accounts, 1))

    await asyncio.gather(
        *(move(PAID, REVENUE) for _ in range(8)), *(move(REVENUE, PAID) for _ in range(8))
    )

    assert await _balances(engine, PAID, REVENUE) == [16, 16]


@pytest.mark.parametrize("lock", [False, True])
async def test_pots_name_every_user_asked_for(engine, lock):
    await _post(engine, _entry((PAID, 3), (FREE, 4), (DUE, -2), (CASH, -5)))
    await _post(engine, _entry((Account(Kind.CREDIT, 7, "codex"), 9), (CASH, -9)))

    async with transaction(engine) as tx:
        found = await books.pots(tx, [8, 7, 7], lock=lock)

    assert found == {7: Pots(free=4, paid=3, due=-2), 8: Pots()}


async def test_statement_pages_through_a_users_entries_newest_first(engine):
    for amount in range(1, 6):
        await _post(engine, _entry((PAID, amount), (CASH, -amount), reason=f"nr {amount}"))
    await _post(engine, _entry((Account(Kind.PAID, 8), 1), (CASH, -1), user_id=8))

    async with reading(engine) as connection:
        first = await books.statement(connection, 7, limit=3)
        second = await books.statement(connection, 7, before=first[-1][0], limit=3)

    entries = [entry for _, entry in first + second]
    assert [entry.reason for entry in entries] == ["nr 5", "nr 4", "nr 3", "nr 2", "nr 1"]
    assert dict(entries[0].postings) == {PAID: 5, CASH: -5}
    assert (entries[0].at, entries[0].user_id) == (5.25, 7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE book_accounts SET balance = balance + 1 WHERE kind = 'paid'", "account paid of 7"),
        ("UPDATE postings SET amount = amount + 1 WHERE amount > 0", "entry 1 does not"),
        ("DELETE FROM postings", "entry 1 does not"),
        (
            "INSERT INTO charges VALUES (1, 7, 1, 1, 3, 1, 9, 2, 7, 0, 0, 0, 4, '')",
            "account cost of 3",
        ),
    ],
)
async def test_what_was_tampered_with_is_told(engine, change, told):
    await _post(engine, _entry((PAID, 3), (CASH, -3)))

    async with transaction(engine) as tx:
        await tx.execute(text(change))

    assert told in " ".join(await _broken(engine))


async def test_charges_explain_balances(engine):
    await _post(engine, _entry((PAID, 30), (FREE, 10), (CASH, -40)))
    insert = "INSERT INTO charges VALUES (:id, 7, 1, 1, 3, 1, 20, 10, 6, 0, 3, 1, 12, '')"
    legs = {FREE: -10, PAID: -6, DUE: -3, Account(Kind.OVERRUN): -1, REVENUE: 20}
    legs |= {Account(Kind.COST, 3): -12, Account(Kind.PROVIDER, 3): 12}

    async with transaction(engine) as tx:
        await tx.execute(text(insert), {"id": 1})
        await books.move(tx, legs)

    assert await _broken(engine) == []
