"""Keys: shown once, stored as keyed hashes, masked everywhere else."""

import asyncio
import re

import pytest
from sqlalchemy import text

from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.keys.errors import (
    BadRemarkError,
    KeyNotFoundError,
    TooManyKeysError,
    UnknownPermissionError,
)
from meterway.keys.types import Changes, NewKey, masked
from tests.factories.users import new_user

PEPPER = b"p" * 32
KNOWN = {"gpt-4o", "gpt-4"}


@pytest.fixture
async def user_id(engine):
    return await new_user(engine)


async def _create(engine, new):
    async with transaction(engine) as tx:
        return await keys.create(tx, PEPPER, new, known=KNOWN, now=1_800_000_000.5)


async def _find(engine, token, pepper=PEPPER):
    async with reading(engine) as connection:
        return await keys.find(connection, pepper, token)


async def _update(engine, key_id, changes):
    async with transaction(engine) as tx:
        await keys.update(tx, key_id, changes, known=KNOWN)


async def test_key_is_found_by_its_text_with_all_its_facts(engine, user_id):
    new = NewKey(
        user_id=user_id,
        remark="mine",
        permissions=frozenset({"gpt-4o"}),
        is_admin=True,
        expires_at=1_900_000_000.125,
        default_model="gpt-4o",
    )

    key_id, token = await _create(engine, new)
    found = await _find(engine, token)

    assert found is not None
    assert (found.id, found.user_id, found.remark) == (key_id, user_id, "mine")
    assert (found.permissions, found.is_admin, found.disabled) == ({"gpt-4o"}, True, False)
    assert (found.expires_at, found.created_at) == (1_900_000_000.125, 1_800_000_000.5)
    assert found.default_model == "gpt-4o"
    assert found.shown == f"{token[:5]}***{token[-4:]}"


async def test_key_has_the_documented_form(engine, user_id):
    _, token = await _create(engine, NewKey(user_id=user_id))

    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", token)
    assert keys.has_form(token)


@pytest.mark.parametrize(
    "token", ["", "sk-", "sk-" + "a" * 47, "sk-" + "a" * 49, "sk-" + "é" * 48, "a" * 51, "sk-" * 17]
)
def test_other_text_has_no_key_form(token):
    assert not keys.has_form(token)


async def test_text_of_a_key_is_nowhere_in_the_database(engine, user_id):
    _, token = await _create(engine, NewKey(user_id=user_id))

    async with reading(engine) as connection:
        row = (await connection.execute(text("SELECT * FROM keys"))).one()

    assert token[5:-4] not in repr(row)
    assert token[5:-4].encode() not in bytes(row.hash)
    assert len(row.hash) == 32


async def test_other_pepper_finds_nothing(engine, user_id):
    _, token = await _create(engine, NewKey(user_id=user_id))

    assert await _find(engine, token, b"q" * 32) is None


async def test_empty_permissions_allow_everything(engine, user_id):
    _, token = await _create(engine, NewKey(user_id=user_id))

    found = await _find(engine, token)

    assert found is not None
    assert found.permissions is None


async def test_unknown_permission_makes_no_key(engine, user_id):
    with pytest.raises(UnknownPermissionError):
        await _create(engine, NewKey(user_id=user_id, permissions=frozenset({"gpt-5o"})))

    async with reading(engine) as connection:
        assert await keys.of_user(connection) == []


async def test_number_of_keys_is_bounded(engine, user_id, monkeypatch):
    monkeypatch.setattr(keys, "KEYS_PER_USER", 1)
    await _create(engine, NewKey(user_id=user_id))

    with pytest.raises(TooManyKeysError):
        await _create(engine, NewKey(user_id=user_id))


async def test_deleted_key_keeps_its_row_and_the_version_moves(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id))

    async with transaction(engine) as tx:
        await keys.delete(tx, key_id, now=1_900_000_000.5)

    found = await _find(engine, token)
    assert found is not None
    assert (found.disabled, found.deleted_at) == (True, 1_900_000_000.5)
    async with reading(engine) as connection:
        assert await versions.read(connection) == {"keys": 1}


async def test_update_changes_what_is_named_and_nothing_else(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id, remark="old", expires_at=5.0))

    await _update(engine, key_id, Changes(permissions=frozenset({"gpt-4"})))
    await _update(engine, key_id, Changes(expires_at=None, default_model="gpt-4o"))

    found = await _find(engine, token)
    assert found is not None
    assert (found.remark, found.permissions) == ("old", {"gpt-4"})
    assert (found.expires_at, found.default_model) == (None, "gpt-4o")


async def test_update_can_lift_a_limit_and_disable(engine, user_id):
    new = NewKey(user_id=user_id, permissions=frozenset({"gpt-4"}))
    key_id, token = await _create(engine, new)

    await _update(engine, key_id, Changes(permissions=frozenset(), remark="theirs"))

    found = await _find(engine, token)
    assert found is not None
    assert (found.permissions, found.remark) == (None, "theirs")


async def test_update_refuses_unknown_permissions(engine, user_id):
    key_id, _ = await _create(engine, NewKey(user_id=user_id))

    with pytest.raises(UnknownPermissionError):
        await _update(engine, key_id, Changes(permissions=frozenset({"nope"})))


async def test_operator_names_a_key_by_number_or_text(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id))

    async with reading(engine) as connection:
        for name in (str(key_id), token):
            assert (await keys.named(connection, PEPPER, name)).id == key_id


@pytest.mark.parametrize("name", ["99", "9" * 30, "sk-nope", "", "²", "\udcff"])
async def test_unknown_key_is_not_found_and_not_repeated(engine, name):
    async with reading(engine) as connection:
        with pytest.raises(KeyNotFoundError) as caught:
            await keys.named(connection, PEPPER, name)

    assert "nope" not in caught.value.message


async def test_missing_key_cannot_be_changed(engine):
    with pytest.raises(KeyNotFoundError):
        await _update(engine, 99, Changes(remark="x"))
    async with transaction(engine) as tx:
        with pytest.raises(KeyNotFoundError):
            await keys.delete(tx, 99, now=0)


async def test_keys_are_listed_by_user(engine, user_id):
    other = await new_user(engine)
    mine, _ = await _create(engine, NewKey(user_id=user_id))
    theirs, _ = await _create(engine, NewKey(user_id=other))

    async with reading(engine) as connection:
        assert [key.id for key in await keys.of_user(connection, user_id)] == [mine]
        assert [key.id for key in await keys.of_user(connection)] == [mine, theirs]


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("sk-abcdefghijklmnop8336", "sk-ab***8336"),
        ("", "***"),
        ("short", "***"),
        ("x" * 15, "***"),
        ("a\nb\x1b[aaaaaaaaaaaaaaa\r\n88", "a?b?[***??88"),
    ],
)
def test_mask_shows_the_ends_of_long_tokens_alone(token, shown):
    assert masked(token) == shown


# -- deletion ------------------------------------------------------------------------------------


async def _delete(engine, key_id):
    async with transaction(engine) as tx:
        await keys.delete(tx, key_id, now=5.0)


async def test_deleted_key_is_in_no_list_but_the_operators(engine, user_id):
    gone, _ = await _create(engine, NewKey(user_id=user_id))
    kept, _ = await _create(engine, NewKey(user_id=user_id))

    await _delete(engine, gone)

    async with reading(engine) as connection:
        assert [key.id for key in await keys.of_user(connection, user_id)] == [kept]
        every = await keys.of_user(connection, user_id, deleted=True)
    assert [key.id for key in every] == [gone, kept]


async def test_deleted_key_can_be_named_changed_and_deleted_no_more(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id))
    await _delete(engine, key_id)

    with pytest.raises(KeyNotFoundError):
        await _update(engine, key_id, Changes(disabled=False))
    with pytest.raises(KeyNotFoundError):
        await _delete(engine, key_id)
    async with reading(engine) as connection:
        with pytest.raises(KeyNotFoundError):
            await keys.named(connection, PEPPER, token)
        with pytest.raises(KeyNotFoundError):
            await keys.owned(connection, PEPPER, user_id, token)
        assert (await keys.owned(connection, PEPPER, user_id, token, deleted=True)).id == key_id


async def test_deleting_a_key_makes_room_for_another(engine, user_id, monkeypatch):
    monkeypatch.setattr(keys, "KEYS_PER_USER", 1)
    key_id, _ = await _create(engine, NewKey(user_id=user_id))

    await _delete(engine, key_id)

    await _create(engine, NewKey(user_id=user_id))


async def test_of_two_last_keys_at_once_one_is_made(engine, user_id, monkeypatch):
    monkeypatch.setattr(keys, "KEYS_PER_USER", 1)

    made = await asyncio.gather(
        *(_create(engine, NewKey(user_id=user_id)) for _ in range(4)), return_exceptions=True
    )

    refused = [one for one in made if isinstance(one, TooManyKeysError)]
    assert len(refused) == 3
    async with reading(engine) as connection:
        assert len(await keys.of_user(connection, user_id)) == 1


# -- whose key it is -----------------------------------------------------------------------------


async def test_somebody_elses_key_is_not_found(engine, user_id):
    other = await new_user(engine)
    key_id, token = await _create(engine, NewKey(user_id=other))

    async with reading(engine) as connection:
        for name in (str(key_id), token):
            assert (await keys.owned(connection, PEPPER, other, name)).id == key_id
            with pytest.raises(KeyNotFoundError) as caught:
                await keys.owned(connection, PEPPER, user_id, name)
            assert caught.value.param == "key"


# -- money ---------------------------------------------------------------------------------------


async def _capped(engine, user_id, max_fee):
    return await _create(engine, NewKey(user_id=user_id, max_fee=max_fee))


async def _budgets(engine):
    async with reading(engine) as connection:
        found = await connection.execute(text("SELECT kind, owner, available FROM budgets"))
        return [tuple(row) for row in found]


async def _count(engine, uses):
    async with transaction(engine) as tx:
        await keys.count_use(tx, uses)


async def test_key_with_a_bound_gets_a_budget_and_one_without_gets_none(engine, user_id):
    bound, token = await _capped(engine, user_id, 5_000_000_000)
    await _capped(engine, user_id, 0)

    assert await _budgets(engine) == [("key", bound, 5_000_000_000)]
    found = await _find(engine, token)
    assert found is not None
    assert (found.max_fee, found.used_fee, found.used_times, found.used_at) == (
        5_000_000_000,
        0,
        0,
        None,
    )


async def test_new_bound_of_a_key_counts_what_it_spent(engine, user_id):
    key_id, token = await _capped(engine, user_id, 0)
    await _count(engine, {key_id: (3, 700, 9.0)})

    await _update(engine, key_id, Changes(max_fee=500))
    await _update(engine, key_id, Changes(remark="x"))

    assert await _budgets(engine) == [("key", key_id, -200)]
    found = await _find(engine, token)
    assert found is not None
    assert (found.max_fee, found.used_fee) == (500, 700)


async def test_lifted_bound_that_is_set_again_counts_everything_spent(engine, user_id):
    key_id, _ = await _capped(engine, user_id, 1000)
    await _update(engine, key_id, Changes(max_fee=0))
    await _count(engine, {key_id: (1, 300, 9.0)})

    await _update(engine, key_id, Changes(max_fee=1000))

    assert await _budgets(engine) == [("key", key_id, 700)]


async def test_uses_add_up_and_the_last_one_stands(engine, user_id):
    first, one = await _create(engine, NewKey(user_id=user_id))
    second, two = await _create(engine, NewKey(user_id=user_id))

    await _count(engine, {second: (1, 5, 20.5), first: (2, 7, 30.25)})
    await _count(engine, {first: (1, 0, 10.0), 99: (1, 1, 1.0)})
    await _count(engine, {})

    a, b = await _find(engine, one), await _find(engine, two)
    assert a is not None
    assert b is not None
    assert (a.used_times, a.used_fee, a.used_at) == (3, 7, 30.25)
    assert (b.used_times, b.used_fee, b.used_at) == (1, 5, 20.5)


async def test_counting_moves_no_version(engine, user_id):
    key_id, _ = await _create(engine, NewKey(user_id=user_id))

    await _count(engine, {key_id: (1, 1, 1.0)})

    async with reading(engine) as connection:
        assert await versions.read(connection) == {}


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("remark", ["x" * 256, "a\x00b", "\x1b[31m", "\udcff"])
async def test_remark_that_cannot_be_kept_is_refused(engine, user_id, remark):
    with pytest.raises(BadRemarkError):
        await _create(engine, NewKey(user_id=user_id, remark=remark))

    key_id, _ = await _create(engine, NewKey(user_id=user_id, remark="测试\u3000one\ntwo"))
    with pytest.raises(BadRemarkError):
        await _update(engine, key_id, Changes(remark=remark))


async def test_key_can_be_disabled_and_enabled(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id))

    await _update(engine, key_id, Changes(disabled=True))
    shut = await _find(engine, token)
    await _update(engine, key_id, Changes(disabled=False))
    let_in = await _find(engine, token)

    assert shut is not None
    assert let_in is not None
    assert (shut.disabled, let_in.disabled) == (True, False)
