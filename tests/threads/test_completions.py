"""Stored completions: kept for their owner, and found again by model, metadata and page."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterway.db.engine import reading, transaction
from meterway.threads import service as threads
from meterway.threads.completions import service as completions
from meterway.threads.errors import CompletionNotFoundError
from meterway.threads.types import Cursor, StoredCompletion

MINE, OTHER = 1, 2


def _completion(id_="chatcmpl-a", **changes):
    facts = {
        "user_id": MINE,
        "key_id": 7,
        "created_at": 10.0,
        "model": "gpt-4o",
        "metadata": {},
        "messages": b'[{"role":"user","content":"hi"}]',
        "body": b'{"id":"chatcmpl-a"}',
    }
    return StoredCompletion(**{"id": id_, **facts, **changes})


async def _add(engine, *kept):
    async with transaction(engine) as tx:
        for completion in kept:
            await completions.add(tx, completion)


async def _ids(engine, cursor=None, **filters):
    async with reading(engine) as connection:
        page = await completions.page(connection, MINE, cursor or Cursor(), **filters)
    return [one.id for one in page.rows]


async def test_completion_comes_back_as_it_was_kept(engine):
    kept = _completion(metadata={"a": "1", "b": ""}, expires_at=20.5)
    await _add(engine, kept)

    async with reading(engine) as connection:
        assert await completions.get(connection, MINE, "chatcmpl-a") == kept
        page = await completions.page(connection, MINE, Cursor())
    assert page.rows == [kept]
    assert not page.more


async def test_another_users_completion_does_not_exist(engine):
    await _add(engine, _completion(user_id=OTHER))
    asked = [
        lambda tx: completions.get(tx, MINE, "chatcmpl-a"),
        lambda tx: completions.update(tx, MINE, "chatcmpl-a", {"a": "b"}),
        lambda tx: completions.delete(tx, MINE, "chatcmpl-a"),
        lambda tx: completions.page(tx, MINE, Cursor(after="chatcmpl-a")),
    ]

    async with transaction(engine) as tx:
        for ask in asked:
            with pytest.raises(CompletionNotFoundError):
                await ask(tx)
    assert await _ids(engine) == []


async def test_metadata_are_put_in_the_place_of_the_old(engine):
    await _add(engine, _completion(metadata={"a": "1", "b": "2"}))

    async with transaction(engine) as tx:
        changed = await completions.update(tx, MINE, "chatcmpl-a", {"b": "3"})
        assert changed.metadata == {"b": "3"}
        assert await completions.get(tx, MINE, "chatcmpl-a") == changed
        await completions.update(tx, MINE, "chatcmpl-a", {})
        assert (await completions.get(tx, MINE, "chatcmpl-a")).metadata == {}


async def test_deleted_completion_takes_its_metadata_along(engine):
    await _add(engine, _completion(metadata={"a": "1"}))

    async with transaction(engine) as tx:
        await completions.delete(tx, MINE, "chatcmpl-a")

    async with reading(engine) as connection:
        left = await connection.exec_driver_sql("SELECT count(*) FROM completion_metadata")
        assert left.scalar_one() == 0


@pytest.mark.parametrize("value", ["50%", "5_%", "red", "Red", "r' OR 1=1 --"])
async def test_filters_are_meant_to_the_letter(engine, value):
    values = ["50%", "5000", "5_%", "red", "Red", "r' OR 1=1 --"]
    await _add(engine, *(_completion(f"c{i}", metadata={"k": v}) for i, v in enumerate(values)))

    assert await _ids(engine, metadata={"k": value}) == [f"c{values.index(value)}"]


async def test_all_filters_must_hold(engine):
    await _add(
        engine,
        _completion("c1", metadata={"a": "1", "b": "2"}),
        _completion("c2", metadata={"a": "1", "b": "3"}),
        _completion("c3", metadata={"a": "1", "b": "2"}, model="other"),
        _completion("c4", metadata={"b": "1", "a": "2"}),
    )

    assert await _ids(engine, model="gpt-4o", metadata={"a": "1", "b": "2"}) == ["c1"]
    assert await _ids(engine, Cursor(descending=False), model="gpt-4o") == ["c1", "c2", "c4"]
    assert await _ids(engine, model="gpt%") == []


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moments=st.lists(st.integers(0, 3), max_size=10),
    limit=st.integers(1, 11),
    descending=st.booleans(),
)
async def test_pages_visit_each_completion_once(sqlite, moments, limit, descending):
    kept = [_completion(f"c{i}", created_at=float(at)) for i, at in enumerate(moments)]
    async with transaction(sqlite) as tx:
        await threads.forget(tx, MINE)
    await _add(sqlite, *kept)

    seen, after, more = [], None, True
    async with reading(sqlite) as connection:
        while more:
            page = await completions.page(connection, MINE, Cursor(after, limit, descending))
            seen += [one.id for one in page.rows]
            after, more = (seen[-1] if seen else None), page.more

    ordered = sorted(kept, key=lambda one: (one.created_at, one.id), reverse=descending)
    assert seen == [one.id for one in ordered]


async def test_expired_completions_are_deleted_with_their_metadata(engine):
    await _add(
        engine,
        _completion("c1", expires_at=5.0, metadata={"a": "1"}),
        _completion("c2", expires_at=6.0),
        _completion("c3"),
    )

    async with transaction(engine) as tx:
        assert await threads.expire(tx, 5.5) == 1
        assert await threads.expire(tx, 5.5) == 0

    assert await _ids(engine, Cursor(descending=False)) == ["c2", "c3"]


async def test_name_of_a_model_is_kept_as_far_as_it_fits(engine):
    await _add(engine, _completion(model="m\0" + "x" * 300))

    assert await _ids(engine, model="m" + "x" * 300) == ["chatcmpl-a"]
