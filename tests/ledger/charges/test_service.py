"""Charges: each call once, read back whole, summed by day, erased without a trace of doubt."""

import random
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from meterway.db.engine import reading, transaction
from meterway.kit.ids import first_id
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Pots
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import AttemptCost, By, Filters, Funding, Sum
from meterway.ledger.seals import service as seals
from meterway.protocols.usage import Usage
from tests.factories.charges import AT, new_receipt, new_record

DAY = 86_400
TODAY = int(AT // DAY)


async def _post(engine, *records, names=None, pots=None, at=AT):
    """Post a batch with its balances and its seal, as the settler does."""
    async with transaction(engine) as tx:
        await books.lock(tx)
        before = await seals.last(tx)
        fresh = await charges.unposted(tx, records)
        names = names or charges.Names()
        posted = await charges.post(tx, names, before.batch + 1, fresh, pots or {})
        await books.move(tx, posted.deltas)
        await seals.add(tx, before, charges=posted.count, content=posted.digest, at=at)
    return posted


async def _page(engine, user_id=7, before=None, limit=100, **filters):
    async with reading(engine) as connection:
        found = await charges.page(connection, user_id, before, limit, Filters(**filters))
    return [charge.call_id for charge in found]


async def _receipt(engine, record, user_id=7):
    async with reading(engine) as connection:
        return await charges.receipt(connection, user_id, record.call_id)


async def _summary(engine, by, since=TODAY, until=TODAY + 1):
    async with reading(engine) as connection:
        return await charges.summary(connection, 7, by, since, until)


async def _broken(engine):
    async with reading(engine) as connection:
        return await books.broken(connection) + await seals.broken(connection)


async def test_receipt_of_a_call_is_whole(engine):
    attempts = (AttemptCost(channel="first", error="overloaded", status=529, cost=7),)
    record = new_record(
        overrun=100,
        billing="codex",
        funding=Funding.CREDIT,
        receipt=new_receipt(service="flex", policy="cut", error="gone", attempts=attempts),
    )

    await _post(engine, new_record(), record)
    found = await _receipt(engine, record)

    assert found is not None
    assert found.receipt == record.receipt
    assert (found.model, found.billing, found.batch) == (record.model, "codex", 1)
    assert (found.price, found.credit, found.overrun) == (1_234_567, 1_234_467, 100)
    assert (found.user_id, found.key_id, found.channel_id) == (7, 70, 3)
    assert (found.free, found.paid, found.due, found.cost) == (0, 0, 0, 812_345)


async def test_receipt_is_its_owners_alone(engine):
    record = new_record()
    await _post(engine, record)

    assert await _receipt(engine, record, user_id=8) is None
    assert await _receipt(engine, new_record()) is None


async def test_call_is_unposted_once(engine):
    posted, new = new_record(), new_record()
    await _post(engine, posted)

    async with reading(engine) as connection:
        found = await charges.unposted(connection, [new, posted, new])

    assert found == [new]


async def test_call_with_a_charge_is_refused_with_its_batch(engine):
    record, other = new_record(), new_record()
    await _post(engine, record)

    with pytest.raises(IntegrityError):
        async with transaction(engine) as tx:
            await charges.post(tx, charges.Names(), 2, [other, record], {})

    assert await _page(engine) == [record.call_id]


async def test_free_money_is_told_apart(engine):
    record = new_record(price=100)

    posted = await _post(engine, record, pots={7: Pots(free=30, paid=500)})
    found = await _receipt(engine, record)

    assert found is not None
    assert (found.free, found.paid, posted.count) == (30, 70, 1)


async def test_names_learned_in_an_undone_transaction_are_learned_again(engine):
    names, record = charges.Names(), new_record()
    with pytest.raises(ZeroDivisionError):
        await _post_and_fail(engine, names, record)

    names.clear()
    await _post(engine, record, names=names)

    found = await _receipt(engine, record)
    assert found is not None
    assert found.receipt == record.receipt


async def _post_and_fail(engine, names, record):
    async with transaction(engine) as tx:
        await charges.post(tx, names, 1, [record], {})
        raise ZeroDivisionError


async def test_texts_of_any_length_have_names(engine):
    record = new_record(model="m" * 300)

    await _post(engine, record, new_record(model="m" * 400))

    found = await _receipt(engine, record)
    assert found is not None
    assert found.model == "m" * 255


async def test_pages_visit_every_call_once_youngest_first(engine):
    records = [new_record(at=AT + i) for i in range(25)]
    random.shuffle(records)
    await _post(engine, *records, new_record(user_id=8))

    seen, before = [], None
    while found := await _page(engine, before=before, limit=7):
        seen += found
        before = found[-1]

    assert seen == sorted((record.call_id for record in records), reverse=True)


async def test_page_shows_what_is_asked_for(engine):
    early = new_record(at=AT)
    other = new_record(at=AT + 60, model="gpt-5", key_id=71)
    late = new_record(at=AT + 120)
    await _post(engine, early, other, late)

    assert await _page(engine, model="gpt-5") == [other.call_id]
    assert await _page(engine, model="nothing") == []
    assert await _page(engine, key_id=70) == [late.call_id, early.call_id]
    assert await _page(engine, since=AT + 60, until=AT + 120) == [other.call_id]
    assert await _page(engine, since=AT + 121) == []


async def test_rare_calls_are_found_page_by_page_over_many_days(engine):
    days = [new_record(at=AT + i * DAY / 2, key_id=70 + (i % 3 == 0)) for i in range(30)]
    await _post(engine, *days)
    rare = sorted((one.call_id for one in days if one.key_id == 71), reverse=True)

    seen, before = [], None
    while found := await _page(engine, before=before, limit=3, key_id=71):
        seen += found
        before = found[-1]

    assert seen == rare
    assert await _page(engine, key_id=71, model="claude-sonnet-4-5") == rare
    assert await _page(engine, key_id=71, since=AT + DAY, until=AT + 4 * DAY) == rare[-3:-1]


async def test_rare_calls_are_found_beyond_long_gaps(engine):
    rare = [new_record(at=AT + day * DAY, key_id=71) for day in (0, 5, 12, 20, 21, 60)]
    often = [new_record(at=AT + day * DAY + 1) for day in range(61)]
    await _post(engine, *rare, *often)
    expected = sorted((one.call_id for one in rare), reverse=True)

    assert await _page(engine, key_id=71) == expected
    assert await _page(engine, key_id=71, limit=4) == expected[:4]
    assert await _page(engine, key_id=71, limit=4, before=expected[3]) == expected[4:]
    assert await _page(engine, key_id=71, since=AT + 5 * DAY, until=AT + 21 * DAY) == expected[2:5]
    assert await _page(engine, key_id=71, since=AT + 22 * DAY, until=AT + 60 * DAY) == []


async def test_only_calls_of_both_model_and_key_are_shown(engine):
    both = [(model, key) for model in ("a", "b") for key in (70, 71)]
    records = {of: new_record(model=of[0], key_id=of[1]) for of in both}
    await _post(engine, *records.values(), new_record(user_id=8, model="a", key_id=70))

    for (model, key_id), record in records.items():
        assert await _page(engine, model=model, key_id=key_id) == [record.call_id]


async def test_filtered_page_is_found_in_an_index_alone(sqlite):
    await _post(sqlite, new_record())
    asked: list[tuple[str, Any]] = []
    event.listen(
        sqlite.sync_engine, "before_cursor_execute", lambda *facts: asked.append(facts[2:4])
    )

    assert await _page(sqlite, model="claude-sonnet-4-5", key_id=70) != []
    statement, values = next(one for one in asked if "FROM charges" in one[0])
    async with reading(sqlite) as connection:
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        steps = [row.detail for row in plan]

    found_by = "USING COVERING INDEX ix_charges_user_id (user_id=? AND call_id>? AND call_id<?)"
    assert f"SEARCH charges {found_by}" in steps


async def test_sums_by_day_model_and_key(engine):
    few = new_receipt(usage=Usage(input=1, cache_read=2, output=4, reasoning=8))
    await _post(engine, new_record(price=5, receipt=few), new_record(price=6, receipt=few))
    await _post(engine, new_record(price=7, receipt=few, model="gpt-5", key_id=71))
    await _post(engine, new_record(at=AT + DAY, price=9, receipt=few), new_record(user_id=8))

    both = {"until": TODAY + 2}
    assert await _summary(engine, By.DAY, **both) == [
        Sum(of=TODAY, calls=3, input_tokens=9, output_tokens=36, price=18),
        Sum(of=TODAY + 1, calls=1, input_tokens=3, output_tokens=12, price=9),
    ]
    assert [(one.of, one.price) for one in await _summary(engine, By.KEY)] == [(70, 11), (71, 7)]
    assert {one.of: one.price for one in await _summary(engine, By.MODEL, **both)} == {
        "claude-sonnet-4-5": 20,
        "gpt-5": 7,
    }
    assert await _summary(engine, By.MODEL, until=TODAY) == []


async def test_call_takes_at_most_300_bytes_of_the_database(sqlite):
    async def size():
        async with reading(sqlite) as connection:
            rows = await connection.execute(
                text("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
            )
            count, size = rows.one()
        return count * size

    chance, names, before = random.Random(1), charges.Names(), await size()
    for start in range(0, 10_000, 500):
        await _post(sqlite, *[_typical(chance, start + i) for i in range(500)], names=names)

    used = (await size() - before) / 10_000
    assert used <= 300, used


def _typical(chance, number):
    usage = Usage(
        input=chance.randrange(20_000),
        cache_read=chance.randrange(100_000),
        output=chance.randrange(4000),
    )
    attempts = [AttemptCost(channel="main", status=200, cost=chance.randrange(10**8))]
    if chance.random() < 0.1:
        attempts.insert(0, AttemptCost(channel="other", status=529, error="overloaded"))
    receipt = new_receipt(
        usage=usage,
        attempts=tuple(attempts),
        hold=chance.randrange(10**9),
        began=AT + number / 10 + chance.random() / 1000,
        seconds=chance.random() * 30,
        first_byte=chance.random(),
    )
    return new_record(
        at=AT + number / 10,
        user_id=chance.randrange(1, 300),
        key_id=chance.randrange(1, 1000),
        price=chance.randrange(10**8),
        cost=chance.randrange(10**8),
        model=f"model-{chance.randrange(30)}",
        receipt=receipt,
    )


# -- erasing ---------------------------------------------------------------------------------------


async def _erase_before(engine, moment, **bounds):
    async with transaction(engine) as tx:
        return await charges.erase_before(tx, moment, at=AT + 9 * DAY, **bounds)


async def _erase_user(engine, user_id, **bounds):
    async with transaction(engine) as tx:
        return await charges.erase_user(tx, user_id, at=AT + 9 * DAY, **bounds)


async def _balances(engine):
    async with reading(engine) as connection:
        rows = await connection.execute(
            text("SELECT kind, owner, name, balance FROM book_accounts ORDER BY kind, owner, name")
        )
        return list(map(tuple, rows))


async def test_old_calls_are_erased_and_their_sums_and_money_stay(engine):
    old = [new_record(at=AT + i, cost=i) for i in range(3)]
    await _post(engine, *old, pots={7: Pots(free=2_000_000)}, at=AT + 3)
    await _post(engine, new_record(at=AT + DAY), at=AT + DAY)
    credit = {"funding": Funding.CREDIT, "billing": "codex"}
    await _post(engine, young := new_record(at=AT + 2 * DAY, **credit), at=AT + 2 * DAY)
    balances, sums = await _balances(engine), await _summary(engine, By.DAY, until=TODAY + 9)

    erased = await _erase_before(engine, AT + 1.5 * DAY)
    again = await _erase_before(engine, AT + 1.5 * DAY)

    assert (erased, again) == (4, 0)
    assert await _page(engine) == [young.call_id]
    assert await _balances(engine) == balances
    assert await _summary(engine, By.DAY, until=TODAY + 9) == sums
    assert await _broken(engine) == []


async def test_calls_without_money_are_erased_too(engine):
    free = {"price": 0, "cost": 0, "funding": Funding.HOUSE}
    await _post(engine, new_record(**free), new_record(**free))

    assert await _erase_before(engine, AT + DAY) == 2
    assert await _page(engine) == []
    assert await _broken(engine) == []


async def test_erasing_goes_step_by_step(engine):
    for i in range(5):
        await _post(engine, new_record(at=AT + i), new_record(at=AT + i), at=AT + i)

    steps = [await _erase_before(engine, AT + DAY, most=3) for _ in range(4)]

    assert steps == [4, 4, 2, 0]
    assert await _broken(engine) == []


async def test_seals_without_calls_are_no_end_of_the_erasing(engine):
    for i in range(5):
        await _post(engine, at=AT + i)
    await _post(engine, new_record(at=AT + 6), at=AT + 6)

    assert await _erase_before(engine, AT + DAY, most=2) == 1
    assert await _page(engine) == []
    assert await _broken(engine) == []


async def test_call_with_an_id_from_elsewhere_is_erased_with_its_batch(engine):
    await _post(engine, new_record(), new_record(call_id=first_id(AT + 99 * DAY)))

    assert await _erase_before(engine, AT + DAY) == 2
    assert await _page(engine) == []


async def test_user_is_erased_and_others_stay(engine):
    credit = {"funding": Funding.CREDIT, "billing": "codex"}
    kept = [new_record(user_id=8, at=AT + i) for i in range(3)]
    for i, record in enumerate(kept):
        await _post(engine, record, new_record(at=AT + i, **credit), new_record(), at=AT + i)
    balances = await _balances(engine)

    steps = [await _erase_user(engine, 7, most=4) for _ in range(3)]

    assert steps == [4, 2, 0]
    assert await _page(engine) == []
    assert sorted(await _page(engine, user_id=8)) == [record.call_id for record in kept]
    assert await _balances(engine) == balances
    assert await _broken(engine) == []


async def test_batch_of_an_erased_user_is_erased_in_time(engine):
    await _post(engine, new_record(), new_record(user_id=8))
    await _erase_user(engine, 7)

    assert await _erase_before(engine, AT + DAY) == 1
    assert await _page(engine, user_id=8) == []
    assert await _broken(engine) == []
