"""Writes that wait together: one commit for many, and a failure that is one's own."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from meterway.db.engine import open_engine, reading, transaction
from meterway.db.rows import Into
from meterway.kit.errors import UnavailableError
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import ConversationNotFoundError
from meterway.threads.types import Item
from meterway.threads.writer import Writer

MINE = 1
VERSIONS = Into("versions", ("topic", "version"))


@pytest.fixture
async def writer(engine):
    made = Writer(engine)
    yield made
    await made.close()


async def _conversation(engine):
    async with transaction(engine) as tx:
        return (await conversations.create(tx, MINE, {}, [], now=1.0)).id


def _append(id_, name):
    async def work(tx):
        return await conversations.append_turn(tx, MINE, id_, [Item(name, "message", b"{}")])

    return work


async def _names(engine):
    async with reading(engine) as connection:
        found = await connection.exec_driver_sql("SELECT item_id FROM conversation_items")
        return sorted(found.scalars())


async def _versions(engine):
    async with reading(engine) as connection:
        found = await connection.exec_driver_sql(
            "SELECT topic, version FROM versions ORDER BY topic"
        )
        return [tuple(row) for row in found]


async def test_what_comes_together_is_one_transaction(engine, writer):
    id_ = await _conversation(engine)
    seen = []

    async def work(tx):
        seen.append(tx)
        return len(seen)

    assert sorted(await asyncio.gather(*(writer.put(work) for _ in range(5)))) == [1, 2, 3, 4, 5]
    assert len({id(tx) for tx in seen}) == 1
    await asyncio.gather(*(writer.put(_append(id_, f"i{n}"), id_) for n in range(7)))
    assert await _names(engine) == [f"i{n}" for n in range(7)]


async def test_writes_that_follow_closely_share_a_connection_which_is_given_back(engine):
    writer = Writer(engine)

    async def work(tx):
        return tx

    first, second = await writer.put(work), await writer.put(work)
    await writer.close()

    assert first is second
    assert engine.pool.checkedout() == 0


async def test_it_is_committed_when_the_caller_goes_on(engine, writer):
    id_ = await _conversation(engine)

    added = await writer.put(_append(id_, "a"))

    assert [item.id for item in added] == ["a"]
    assert await _names(engine) == ["a"]


async def test_failure_of_one_is_its_own(engine, writer):
    id_ = await _conversation(engine)

    async def half(tx):
        await _append(id_, "undone")(tx)
        raise ConversationNotFoundError("conv_gone")

    async def broken(tx):
        await tx.exec_driver_sql("SELECT no_such_column FROM conversations")

    results = await asyncio.gather(
        writer.put(_append(id_, "a")),
        writer.put(half),
        writer.put(_append("conv_none", "b")),
        writer.put(broken),
        writer.put(_append(id_, "c")),
        return_exceptions=True,
    )

    kinds = [type(result) if isinstance(result, Exception) else None for result in results]
    assert kinds[:3] == [None, ConversationNotFoundError, ConversationNotFoundError]
    assert kinds[3] is not None
    assert kinds[4] is None
    assert await _names(engine) == ["a", "c"]


async def test_failure_of_the_only_one_is_raised(writer):
    with pytest.raises(ConversationNotFoundError):
        await writer.put(_append("conv_none", "a"))


async def test_caller_who_leaves_is_written_all_the_same(engine, writer):
    id_ = await _conversation(engine)
    leaving = asyncio.create_task(writer.put(_append(id_, "left")))
    failing = asyncio.create_task(writer.put(_append("conv_none", "b")))
    await asyncio.sleep(0)
    leaving.cancel()
    failing.cancel()

    await writer.put(_append(id_, "stays"))

    assert leaving.cancelled()
    assert await _names(engine) == ["left", "stays"]


async def test_rows_are_locked_in_the_order_of_their_names(engine, writer):
    seen = []

    async def work(name):
        async def note(tx):
            seen.append(name)

        await writer.put(note, name)

    await asyncio.gather(*(work(name) for name in ("c", "a", "b")))

    assert seen == ["a", "b", "c"]


async def test_writers_of_two_processes_do_not_wait_for_each_other(engine):
    ids = sorted([await _conversation(engine) for _ in range(4)])
    one, other = Writer(engine), Writer(engine)

    await asyncio.gather(
        *(one.put(_append(id_, "x"), id_) for id_ in ids),
        *(other.put(_append(id_, "y"), id_) for id_ in reversed(ids)),
    )

    assert await _names(engine) == ["x"] * 4 + ["y"] * 4
    await one.close()
    await other.close()


async def test_database_that_is_down_is_told_to_all(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/no-folder/file.db")
    writer = Writer(engine)

    results = await asyncio.gather(
        *(writer.put(_append("conv_1", "a")) for _ in range(3)), return_exceptions=True
    )

    refusals = [result for result in results if isinstance(result, UnavailableError)]
    assert len({id(refusal) for refusal in refusals}) == 3
    assert all(refusal.retry_after for refusal in refusals)
    await writer.close()
    await engine.dispose()


async def test_rows_are_there_when_their_callers_go_on(engine, writer):
    rows = [(f"topic {n:03}", n) for n in range(95)]

    told = await asyncio.gather(*(writer.add(VERSIONS, row) for row in rows))

    assert told == [None] * 95
    assert await _versions(engine) == rows


async def test_row_that_is_refused_is_refused_alone(engine, writer):
    rows = [("a", 1), ("b", 1), ("a", 2), ("c", 1)]

    told = await asyncio.gather(
        *(writer.add(VERSIONS, row) for row in rows), return_exceptions=True
    )
    after = await writer.add(VERSIONS, ("d", 1))

    assert [type(one) for one in told].count(IntegrityError) == 1
    assert (told[1], told[3], after) == (None, None, None)
    assert [topic for topic, _ in await _versions(engine)] == ["a", "b", "c", "d"]


async def test_rows_and_works_are_written_together(engine, writer):
    id_ = await _conversation(engine)

    results = await asyncio.gather(
        writer.add(VERSIONS, ("a", 1)),
        writer.put(_append(id_, "x"), id_),
        writer.put(_append("conv_none", "y"), "conv_none"),
        writer.add(VERSIONS, ("b", 1)),
        return_exceptions=True,
    )

    refused = [isinstance(result, ConversationNotFoundError) for result in results]
    assert refused == [False, False, True, False]
    assert await _names(engine) == ["x"]
    assert await _versions(engine) == [("a", 1), ("b", 1)]


async def test_row_of_a_caller_who_leaves_is_written_all_the_same(engine, writer):
    async def leave():
        await writer.add(VERSIONS, ("left", 1))

    leaving = asyncio.create_task(leave())
    await asyncio.sleep(0)
    leaving.cancel()

    await writer.add(VERSIONS, ("stays", 1))

    assert leaving.cancelled()
    assert await _versions(engine) == [("left", 1), ("stays", 1)]


async def test_database_that_is_down_is_told_to_all_rows(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/no-folder/file.db")
    writer = Writer(engine)

    results = await asyncio.gather(
        *(writer.add(VERSIONS, (name, 1)) for name in "abc"), return_exceptions=True
    )

    assert [type(result) for result in results] == [UnavailableError] * 3
    assert len({id(result) for result in results}) == 3
    await writer.close()
    await engine.dispose()
