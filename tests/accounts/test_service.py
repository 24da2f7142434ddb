"""Users: unique by address, passwords only as Argon2id hashes."""

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from meterway.accounts import service as accounts
from meterway.accounts.errors import BadUserError, UserExistsError, UserNotFoundError
from meterway.accounts.types import NewUser, Tier
from meterway.db import versions
from meterway.db.engine import reading, transaction

NEW = NewUser(email=" Ann@Example.org ", password="canary-password", is_admin=True)


def _cheaply(password):
    """What a hash costs is no matter of most tests."""
    return f"hash of {len(password)} characters"


async def _create(engine, new=NEW, now=1_800_000_000.25, hashed=_cheaply):
    async with transaction(engine) as tx:
        return await accounts.create(tx, new, now=now, hashed=hashed)


async def test_user_is_found_by_address_in_any_case(engine):
    user_id = await _create(engine)

    async with reading(engine) as connection:
        found = await accounts.by_email(connection, "ANN@example.ORG")

    assert (found.id, found.email, found.is_admin) == (user_id, "ann@example.org", True)
    assert (found.postpaid, found.disabled, found.created_at) == (False, False, 1_800_000_000.25)


async def test_address_is_taken_once_and_the_transaction_goes_on(engine):
    await _create(engine)
    twin = NewUser(email="ann@EXAMPLE.org", password="12345678")

    async with transaction(engine) as tx:
        with pytest.raises(UserExistsError):
            await accounts.create(tx, twin, now=0, hashed=_cheaply)
        other = NewUser(email="b@c", password="12345678")
        await accounts.create(tx, other, now=0, hashed=_cheaply)

    async with reading(engine) as connection:
        assert [user.email for user in await accounts.every(connection)] == [
            "ann@example.org",
            "b@c",
        ]


@pytest.mark.parametrize(
    "email", ["", "ann", "@b", "a@", "a b@c", "a\n@b", "a\x00@b", "a" * 254 + "@b"]
)
async def test_what_is_no_address_is_refused(sqlite, email):
    with pytest.raises(BadUserError):
        await _create(sqlite, NewUser(email=email, password="12345678"))


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
async def test_weak_or_endless_password_is_refused(sqlite, password):
    with pytest.raises(BadUserError):
        await _create(sqlite, NewUser(email="a@b", password=password))


async def test_password_is_stored_as_argon2id(sqlite):
    async with transaction(sqlite) as tx:
        await accounts.create(tx, NEW, now=0)

    async with reading(sqlite) as connection:
        stored = (await connection.execute(text("SELECT password_hash FROM users"))).scalar_one()

    assert stored.startswith("$argon2id$")
    assert PasswordHasher().verify(stored, "canary-password")


async def test_shutting_a_user_out_moves_the_keys_version(engine):
    user_id = await _create(engine)

    async with transaction(engine) as tx:
        await accounts.set_disabled(tx, user_id, disabled=True)

    async with reading(engine) as connection:
        user = await accounts.by_id(connection, user_id)
        assert user is not None
        assert user.disabled
        assert await versions.read(connection) == {"keys": 1}


async def test_unknown_users_are_not_found(sqlite):
    async with transaction(sqlite) as tx:
        assert await accounts.by_id(tx, 1) is None
        with pytest.raises(UserNotFoundError):
            await accounts.by_email(tx, "a@b")
        with pytest.raises(UserNotFoundError):
            await accounts.set_disabled(tx, 1, disabled=True)


def test_representation_shows_no_password():
    assert "canary" not in repr(NEW)


async def _set_tier(engine, user_id, tier, expires_at=None):
    async with transaction(engine) as tx:
        await accounts.set_tier(tx, user_id, tier, expires_at)


async def _by_id(engine, user_id):
    async with reading(engine) as connection:
        found = await accounts.by_id(connection, user_id)
    assert found is not None
    return found


async def test_new_user_is_normal_unless_said_otherwise(engine):
    plain = await _by_id(engine, await _create(engine))
    new = NewUser(email="v@b", password="12345678", tier=Tier.VIP, tier_expires_at=7.5)
    vip = await _by_id(engine, await _create(engine, new))

    assert (plain.tier, plain.tier_expires_at) == (Tier.NORMAL, None)
    assert (vip.tier, vip.tier_expires_at) == (Tier.VIP, 7.5)


async def test_membership_is_in_effect_until_its_end(engine):
    user_id = await _create(engine)

    await _set_tier(engine, user_id, Tier.PREMIUM, 100.0)

    user = await _by_id(engine, user_id)
    assert [user.tier_at(now) for now in (99.9, 100.0)] == [Tier.PREMIUM, Tier.NORMAL]


async def test_membership_without_an_end_lasts(engine):
    user_id = await _create(engine)

    await _set_tier(engine, user_id, Tier.VIP)

    assert (await _by_id(engine, user_id)).tier_at(1e12) is Tier.VIP


async def test_everybody_hears_of_a_new_tier(engine):
    user_id = await _create(engine)

    await _set_tier(engine, user_id, Tier.VIP)

    async with reading(engine) as connection:
        assert await versions.read(connection) == {"keys": 1}


async def test_tier_that_cannot_be_is_refused(engine):
    user_id = await _create(engine)

    with pytest.raises(BadUserError):
        await _set_tier(engine, user_id, Tier.NORMAL, 5.0)
    with pytest.raises(BadUserError):
        await _create(engine, NewUser(email="n@b", password="12345678", tier_expires_at=5.0))
    with pytest.raises(UserNotFoundError):
        await _set_tier(engine, 99, Tier.VIP)
    async with transaction(engine) as tx:
        with pytest.raises(UserNotFoundError):
            await accounts.lock(tx, 99)
