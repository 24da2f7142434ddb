"""Conversations: whole turns in order, whoever appends at the moment, and pages of them."""

import asyncio

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterway.db.engine import reading, transaction
from meterway.threads import service as threads
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import (
    ConversationNotFoundError,
    HistoryTooLongError,
    ItemExistsError,
    ItemNotFoundError,
)
from meterway.threads.types import Cursor, Item

MINE, OTHER = 1, 2


def _items(*names):
    return [Item(name, "message", b'{"id":"%s"}' % name.encode()) for name in names]


async def _conversation(engine, *names, user_id=MINE, metadata=None):
    async with transaction(engine) as tx:
        made = await conversations.create(tx, user_id, metadata or {}, _items(*names), now=5.0)
    return made.id


async def _loaded(engine, id_):
    async with reading(engine) as connection:
        found = msgspec.json.decode(await conversations.load(connection, MINE, id_))
    return [item["id"] for item in found]


async def test_conversation_begins_with_its_items_and_metadata(engine):
    id_ = await _conversation(engine, "a", "b", metadata={"topic": "x"})

    async with reading(engine) as connection:
        found = await conversations.get(connection, MINE, id_)
    assert (found.id, found.created_at, found.metadata) == (id_, 5.0, {"topic": "x"})
    assert id_.startswith("conv_")
    assert len(id_) == len("conv_") + 48
    assert await _loaded(engine, id_) == ["a", "b"]


async def test_metadata_are_put_in_the_place_of_the_old(engine):
    id_ = await _conversation(engine, metadata={"a": "1", "b": "2"})

    async with transaction(engine) as tx:
        await conversations.update(tx, MINE, id_, {"b": "3"})

    async with reading(engine) as connection:
        assert (await conversations.get(connection, MINE, id_)).metadata == {"b": "3"}


async def test_deleted_conversation_takes_its_items_along(engine):
    id_ = await _conversation(engine, "a")

    async with transaction(engine) as tx:
        await conversations.delete(tx, MINE, id_)

    async with reading(engine) as connection:
        left = await connection.exec_driver_sql("SELECT count(*) FROM conversation_items")
        assert left.scalar_one() == 0
        with pytest.raises(ConversationNotFoundError):
            await conversations.get(connection, MINE, id_)


async def test_another_users_conversation_does_not_exist(engine):
    id_ = await _conversation(engine, "a", user_id=OTHER)
    asked = [
        lambda tx: conversations.get(tx, MINE, id_),
        lambda tx: conversations.update(tx, MINE, id_, {}),
        lambda tx: conversations.delete(tx, MINE, id_),
        lambda tx: conversations.add_items(tx, MINE, id_, _items("b")),
        lambda tx: conversations.append_turn(tx, MINE, id_, _items("b")),
        lambda tx: conversations.load(tx, MINE, id_),
        lambda tx: conversations.items_page(tx, MINE, id_, Cursor()),
        lambda tx: conversations.get_item(tx, MINE, id_, "a"),
        lambda tx: conversations.delete_item(tx, MINE, id_, "a"),
    ]

    async with transaction(engine) as tx:
        for ask in asked:
            with pytest.raises(ConversationNotFoundError):
                await ask(tx)
        page = await conversations.items_page(tx, OTHER, id_, Cursor())
    assert page.rows == _items("a")


@pytest.mark.parametrize("id_", ["conv_none", "", "\0", "é", "x" * 65])
async def test_what_can_be_no_id_names_nothing(engine, id_):
    mine = await _conversation(engine, "a")

    async with transaction(engine) as tx:
        with pytest.raises(ConversationNotFoundError):
            await conversations.get(tx, MINE, id_)
        with pytest.raises(ConversationNotFoundError):
            await conversations.delete(tx, MINE, id_)
        with pytest.raises(ItemNotFoundError):
            await conversations.get_item(tx, MINE, mine, id_)
        with pytest.raises(ItemNotFoundError):
            await conversations.items_page(tx, MINE, mine, Cursor(after=id_))


async def test_items_are_read_and_deleted_one_by_one(engine):
    id_ = await _conversation(engine, "a", "b", "c")

    async with transaction(engine) as tx:
        assert await conversations.get_item(tx, MINE, id_, "b") == _items("b")[0]
        assert (await conversations.delete_item(tx, MINE, id_, "b")).id == id_
        with pytest.raises(ItemNotFoundError):
            await conversations.delete_item(tx, MINE, id_, "b")

    assert await _loaded(engine, id_) == ["a", "c"]


async def test_deleting_items_makes_room(engine):
    id_ = await _conversation(engine, "a", "b")
    size = len(b'{"id":"a"}')

    async with transaction(engine) as tx:
        with pytest.raises(HistoryTooLongError):
            await conversations.load(tx, MINE, id_, largest=size)
        await conversations.delete_item(tx, MINE, id_, "a")
        assert await conversations.load(tx, MINE, id_, largest=size) == b'[{"id":"b"}]'


async def test_item_sent_again_is_refused(engine):
    id_ = await _conversation(engine, "a")

    for names in (("a",), ("b", "b")):
        async with transaction(engine) as tx:
            with pytest.raises(ItemExistsError, match=f"'{names[0]}'"):
                await conversations.add_items(tx, MINE, id_, _items(*names))
            await tx.rollback()

    assert await _loaded(engine, id_) == ["a"]


async def test_turn_leaves_out_what_is_there_already(engine):
    id_ = await _conversation(engine, "a", "b")

    async with transaction(engine) as tx:
        added = await conversations.append_turn(tx, MINE, id_, _items("b", "c", "c", "a", "d"))

    assert added == _items("c", "d")
    assert await _loaded(engine, id_) == ["a", "b", "c", "d"]


async def test_turns_appended_at_once_stay_whole(engine):
    id_ = await _conversation(engine, "first")
    turns = [[f"turn{n}_{i}" for i in range(5)] for n in range(6)]

    async def append(names):
        async with transaction(engine) as tx:
            await conversations.append_turn(tx, MINE, id_, _items(*names))

    await asyncio.gather(*(append(names) for names in turns))

    found = await _loaded(engine, id_)
    assert found[0] == "first"
    assert sorted(found[1 + n * 5 : 6 + n * 5] for n in range(6)) == turns


async def test_same_turn_sent_twice_at_once_is_kept_once(engine):
    id_ = await _conversation(engine)

    async def append():
        async with transaction(engine) as tx:
            await conversations.append_turn(tx, MINE, id_, _items("a", "b"))

    await asyncio.gather(append(), append())

    assert await _loaded(engine, id_) == ["a", "b"]


async def test_long_turn_is_compared_with_a_long_conversation(engine):
    names = [f"item{i}" for i in range(1200)]
    id_ = await _conversation(engine, *names)

    async with transaction(engine) as tx:
        added = await conversations.append_turn(tx, MINE, id_, _items(*names, "new"))

    assert [item.id for item in added] == ["new"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(0, 12),
    gone=st.sets(st.integers(0, 11)),
    limit=st.integers(1, 14),
    descending=st.booleans(),
)
async def test_pages_visit_each_item_once(sqlite, count, gone, limit, descending):
    names = [f"item{i}" for i in range(count)]
    id_ = await _conversation(sqlite, *names)
    async with transaction(sqlite) as tx:
        for i in gone & set(range(count)):
            await conversations.delete_item(tx, MINE, id_, f"item{i}")

    seen, after, more = [], None, True
    async with reading(sqlite) as connection:
        while more:
            cursor = Cursor(after, limit, descending)
            page = await conversations.items_page(connection, MINE, id_, cursor)
            assert len(page.rows) == limit or not page.more
            seen += [item.id for item in page.rows]
            after, more = (seen[-1] if seen else None), page.more

    left = [name for i, name in enumerate(names) if i not in gone]
    assert seen == (left[::-1] if descending else left)


async def test_everything_of_an_erased_user_goes(engine):
    mine = [await _conversation(engine, "a") for _ in range(3)]
    others = await _conversation(engine, "a", user_id=OTHER)

    async with transaction(engine) as tx:
        assert await threads.forget(tx, MINE, 2) == 2
        assert await threads.forget(tx, MINE, 2) == 1
        assert await threads.forget(tx, MINE, 2) == 0
        with pytest.raises(ConversationNotFoundError):
            await conversations.get(tx, MINE, mine[0])
        assert await conversations.load(tx, OTHER, others) == b'[{"id":"a"}]'
