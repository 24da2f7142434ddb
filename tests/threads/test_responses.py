"""Kept responses: their owner's alone, and the history they continue."""

import msgspec
import pytest

from meterway.db.engine import reading, transaction
from meterway.threads import service as threads
from meterway.threads.errors import (
    HistoryTooLongError,
    PreviousResponseNotFoundError,
    ResponseNotFoundError,
)
from meterway.threads.responses import service as responses
from meterway.threads.types import Retention, StoredResponse

MINE, OTHER = 1, 2


def _response(id_="resp_a", **changes):
    facts = {
        "user_id": MINE,
        "key_id": 7,
        "created_at": 1_700_000_000.25,
        "status": "completed",
        "model": "gpt-4o",
        "input": b'[{"id":"msg_1"}]',
        "body": b'{"id":"resp_a"}',
        "output": b'[{"id":"msg_2"}]',
    }
    return StoredResponse(**{"id": id_, **facts, **changes})


async def _add(engine, *kept):
    async with transaction(engine) as tx:
        for response in kept:
            await responses.add(tx, response)


def _turn(number, previous):
    """The n-th response of a chain: it says its number, and its answer is the number's square."""
    return _response(
        f"resp_{number}",
        previous_id=previous,
        input=b"[%d]" % number,
        output=b"[ %d, null ]" % number**2,
    )


async def test_response_comes_back_as_it_was_kept(engine):
    kept = _response(
        previous_id="resp_0", conversation_id="conv_1", background=True, expires_at=1_700_000_001.5
    )
    await _add(engine, kept)

    async with reading(engine) as connection:
        assert await responses.get(connection, MINE, "resp_a") == kept


@pytest.mark.parametrize("id_", ["resp_b", "", "\0", "é", "x" * 65])
async def test_unknown_response_is_not_found_in_openais_words(engine, id_):
    async with reading(engine) as connection:
        with pytest.raises(ResponseNotFoundError) as refused:
            await responses.get(connection, MINE, id_)
        with pytest.raises(PreviousResponseNotFoundError):
            await responses.history(connection, MINE, id_)

    assert refused.value.message == f"Response with id '{id_}' not found."


async def test_another_users_response_does_not_exist(engine):
    await _add(engine, _response())

    async with transaction(engine) as tx:
        with pytest.raises(ResponseNotFoundError):
            await responses.get(tx, OTHER, "resp_a")
        with pytest.raises(ResponseNotFoundError):
            await responses.delete(tx, OTHER, "resp_a")
        with pytest.raises(ResponseNotFoundError):
            await responses.replace(tx, _response(user_id=OTHER, status="failed"))
        with pytest.raises(PreviousResponseNotFoundError):
            await responses.history(tx, OTHER, "resp_a")
        assert await responses.get(tx, MINE, "resp_a") == _response()


async def test_deleted_response_is_gone(engine):
    await _add(engine, _response())

    async with transaction(engine) as tx:
        await responses.delete(tx, MINE, "resp_a")

    async with transaction(engine) as tx:
        with pytest.raises(ResponseNotFoundError):
            await responses.get(tx, MINE, "resp_a")
        with pytest.raises(ResponseNotFoundError):
            await responses.replace(tx, _response())


async def test_what_became_of_a_response_takes_the_place_of_its_beginning(engine):
    await _add(engine, _response(status="in_progress", body=b"{}", output=b"[]"))

    async with transaction(engine) as tx:
        await responses.replace(tx, _response())

    async with reading(engine) as connection:
        assert await responses.get(connection, MINE, "resp_a") == _response()


async def test_history_is_every_turns_input_and_output_oldest_first(engine):
    await _add(engine, _turn(1, None), _turn(2, "resp_1"), _turn(3, "resp_2"))

    async with reading(engine) as connection:
        found = await responses.history(connection, MINE, "resp_3")

    assert msgspec.json.decode(found) == [1, 1, None, 2, 4, None, 3, 9, None]


async def test_history_of_turns_without_items_is_an_empty_array(engine):
    await _add(engine, _response(input=b"[ ]", output=b"[]"))

    async with reading(engine) as connection:
        assert await responses.history(connection, MINE, "resp_a") == b"[]"


async def test_history_with_a_deleted_parent_names_what_is_missing(engine):
    await _add(engine, _turn(1, None), _turn(2, "resp_1"), _turn(3, "resp_2"))

    async with transaction(engine) as tx:
        await responses.delete(tx, MINE, "resp_1")

        with pytest.raises(PreviousResponseNotFoundError) as refused:
            await responses.history(tx, MINE, "resp_3")

    assert refused.value.message == "Previous response with id 'resp_1' not found."
    assert (refused.value.code, refused.value.param, refused.value.status) == (
        "previous_response_not_found",
        "previous_response_id",
        400,
    )


async def test_history_does_not_climb_to_another_users_response(engine):
    await _add(engine, _response("resp_1", user_id=OTHER), _turn(2, "resp_1"))

    async with reading(engine) as connection:
        with pytest.raises(PreviousResponseNotFoundError, match="'resp_1'"):
            await responses.history(connection, MINE, "resp_2")


async def test_circle_of_responses_ends(engine):
    await _add(engine, _turn(1, "resp_2"), _turn(2, "resp_1"))

    async with reading(engine) as connection:
        with pytest.raises(HistoryTooLongError):
            await responses.history(connection, MINE, "resp_2")


async def test_history_of_too_many_bytes_is_refused_before_it_is_read(engine):
    turns = [_turn(1, None), _turn(2, "resp_1"), _turn(3, "resp_2")]
    await _add(engine, *turns)
    size = sum(len(turn.input) + len(turn.output) for turn in turns)

    async with reading(engine) as connection:
        assert await responses.history(connection, MINE, "resp_3", largest=size)
        for largest in (size - 1, 1):
            with pytest.raises(HistoryTooLongError):
                await responses.history(connection, MINE, "resp_3", largest=largest)


async def test_expired_responses_are_deleted_a_part_at_a_time(engine):
    kept = [_response(f"resp_{i}", expires_at=float(i)) for i in range(5)]
    await _add(engine, *kept, _response("resp_for_ever"))

    async with transaction(engine) as tx:
        assert await threads.expire(tx, 3.0, 3) == 3
        assert await threads.expire(tx, 3.0, 3) == 1
        assert await threads.expire(tx, 3.0, 3) == 0
        for id_ in ("resp_4", "resp_for_ever"):
            assert (await responses.get(tx, MINE, id_)).id == id_


def test_days_of_retention_tell_the_end():
    assert Retention(30).end(100.0) == 100.0 + 30 * 86_400
    assert Retention(0).end(100.0) is None
