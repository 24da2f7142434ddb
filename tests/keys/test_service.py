"""Keys: shown once, stored as keyed hashes, masked everywhere else."""

import re

import pytest
from sqlalchemy import text

from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.keys.errors import KeyNotFoundError, TooManyKeysError, UnknownPermissionError
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


async def test_revoked_key_is_disabled_and_the_version_moves(engine, user_id):
    key_id, token = await _create(engine, NewKey(user_id=user_id))

    async with transaction(engine) as tx:
        await keys.revoke(tx, key_id)

    found = await _find(engine, token)
    assert found is not None
    assert found.disabled
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


@pytest.mark.parametrize("name", ["99", "sk-nope", "", "²", "\udcff"])
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
            await keys.revoke(tx, 99)


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
