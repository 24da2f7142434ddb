"""The authenticator: warm without waiting, cold once, and never a 401 for a failing database."""

import asyncio

import pytest
from sqlalchemy import event, text

from meterway.accounts import service as accounts
from meterway.accounts.types import Tier
from meterway.auth.errors import DisabledKeyError, ExpiredKeyError, InvalidKeyError
from meterway.auth.service import Authenticator, grantable
from meterway.catalog.types import Model
from meterway.db import versions
from meterway.db.engine import open_engine, reading, transaction
from meterway.db.versions import Watcher
from meterway.keys import service as keys
from meterway.keys.types import Changes, NewKey
from meterway.kit.errors import UnavailableError
from tests.factories.databases import sqlite_url
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock

PEPPER = b"p" * 32
UNKNOWN = "sk-" + "u" * 48


class Installation:
    def __init__(self, engine):
        self.engine = engine
        self.clock = FakeClock()
        self.auth = Authenticator(engine, PEPPER, self.clock)
        self.user_id = 0
        self.questions = 0
        event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, connection, cursor, statement, *rest):
        self.questions += "keys.hash = ?" in statement

    async def new_key(self, **facts):
        async with transaction(self.engine) as tx:
            new = NewKey(user_id=self.user_id, **facts)
            key_id, token = await keys.create(tx, PEPPER, new, known={"gpt-4o"}, now=0)
        return key_id, token


@pytest.fixture
async def place(sqlite):
    made = Installation(sqlite)
    made.user_id = await new_user(sqlite, postpaid=True)
    yield made
    await made.auth.close()


async def test_key_becomes_its_principal(place):
    key_id, token = await place.new_key(
        permissions=frozenset({"gpt-4o"}), is_admin=True, default_model="gpt-4o"
    )

    principal = await place.auth.principal(token)

    assert (principal.key_id, principal.user_id) == (key_id, place.user_id)
    assert principal.key_name == f"{token[:5]}***{token[-4:]}"
    assert (principal.is_admin, principal.postpaid) == (True, True)
    assert principal.default_model == "gpt-4o"
    assert principal.allows("gpt-4o")
    assert not principal.allows("gpt-4")


@pytest.mark.parametrize(("of_user", "of_key"), [(True, False), (False, True), (True, True)])
async def test_zero_retention_of_user_or_key_keeps_nothing(place, of_user, of_key):
    key_id, token = await place.new_key()
    async with transaction(place.engine) as tx:
        await accounts.set_zero_retention(tx, place.user_id, on=of_user)
        await keys.update(tx, key_id, Changes(zero_retention=of_key), known=())

    assert not (await place.auth.principal(token)).keeps


async def test_key_keeps_what_it_asks_for_by_default(place):
    _, token = await place.new_key()

    assert (await place.auth.principal(token)).keeps


async def test_database_is_asked_once_and_memory_answers_then(place):
    _, token = await place.new_key()
    cold = place.auth.known(token)

    first = await place.auth.principal(token)

    assert cold is None
    assert place.auth.known(token) is first
    assert await place.auth.principal(token) is first
    assert place.questions == 1


async def test_many_callers_with_one_cold_key_ask_once(place):
    _, token = await place.new_key()

    principals = await asyncio.gather(*(place.auth.principal(token) for _ in range(50)))

    assert len(set(map(id, principals))) == 1
    assert place.questions == 1


async def test_caller_who_leaves_does_not_take_the_others_along(place):
    _, token = await place.new_key()
    first, *others = [asyncio.create_task(place.auth.principal(token)) for _ in range(5)]
    await asyncio.sleep(0)

    first.cancel()
    principals = await asyncio.gather(*others)

    assert {principal.key_name for principal in principals} == {f"{token[:5]}***{token[-4:]}"}
    assert first.cancelled()


async def test_unknown_key_is_refused_masked(place):
    with pytest.raises(InvalidKeyError) as caught:
        await place.auth.principal(UNKNOWN)

    assert caught.value.status == 401
    assert "sk-uu***uuuu" in caught.value.message
    assert "u" * 10 not in caught.value.message


@pytest.mark.parametrize(
    "token", ["", "sk-", "Bearer", "sk-" + "é" * 48, "\udcff" * 51, "x" * 100_000]
)
async def test_text_that_is_no_key_never_reaches_the_database(place, token):
    with pytest.raises(InvalidKeyError) as caught:
        await place.auth.principal(token)

    assert place.questions == 0
    assert len(caught.value.message) < 100


async def test_bad_key_is_asked_about_once_a_second(place):
    for _ in range(10):
        with pytest.raises(InvalidKeyError):
            await place.auth.principal(UNKNOWN)
    within = place.questions
    place.clock.advance(1.0)
    with pytest.raises(InvalidKeyError):
        await place.auth.principal(UNKNOWN)

    assert (within, place.questions) == (1, 2)


async def test_new_key_works_at_once_amid_bad_ones(place):
    for index in range(50):
        with pytest.raises(InvalidKeyError):
            await place.auth.principal(f"sk-{index:048}")
    _, token = await place.new_key()

    assert (await place.auth.principal(token)).user_id == place.user_id


async def test_memory_of_bad_keys_is_bounded(place, monkeypatch):
    monkeypatch.setattr("meterway.auth.service._ABSENT_LIMIT", 3)
    for index in range(10):
        with pytest.raises(InvalidKeyError):
            await place.auth.principal(f"sk-{index:048}")

    assert len(place.auth._absent) == 3


async def test_memory_of_good_keys_is_bounded_and_keeps_the_used_ones(place):
    auth = Authenticator(place.engine, PEPPER, place.clock, size=2)
    tokens = [(await place.new_key())[1] for _ in range(3)]

    await auth.principal(tokens[0])
    await auth.principal(tokens[1])
    auth.known(tokens[0])
    await auth.principal(tokens[2])

    assert auth.known(tokens[0]) is not None
    assert auth.known(tokens[1]) is None


async def test_keys_that_share_a_prefix_are_told_apart(place):
    _, token = await place.new_key()
    await place.auth.principal(token)
    twin = token[:-1] + ("a" if token[-1] != "a" else "b")

    with pytest.raises(InvalidKeyError):
        await place.auth.principal(twin)


async def test_expiry_holds_at_every_use(place):
    _, token = await place.new_key(expires_at=place.clock.now() + 10)
    await place.auth.principal(token)

    place.clock.advance(10)

    with pytest.raises(ExpiredKeyError) as caught:
        place.auth.known(token)
    assert token not in caught.value.message
    with pytest.raises(ExpiredKeyError):
        await place.auth.principal(token)


async def test_revocation_holds_as_soon_as_the_version_was_seen(place):
    key_id, token = await place.new_key()

    async def forget():
        place.auth.forget()

    watcher = Watcher(place.engine, place.clock, 0.25, {versions.KEYS: forget})
    await watcher.look()
    await place.auth.principal(token)
    async with transaction(place.engine) as tx:
        await keys.delete(tx, key_id, now=1.0)

    before = place.auth.known(token)
    await watcher.look()

    assert before is not None
    with pytest.raises(DisabledKeyError, match="deleted"):
        await place.auth.principal(token)


async def test_keys_of_a_disabled_user_say_so(place):
    _, token = await place.new_key()
    async with transaction(place.engine) as tx:
        await accounts.set_disabled(tx, place.user_id, disabled=True)

    with pytest.raises(DisabledKeyError, match="user"):
        await place.auth.principal(token)
    with pytest.raises(DisabledKeyError, match="user"):
        place.auth.known(token)


async def test_answer_older_than_a_change_is_not_remembered(place):
    _, token = await place.new_key()
    asking = asyncio.create_task(place.auth.principal(token))
    await asyncio.sleep(0)

    place.auth.forget()
    await asking

    assert place.auth.known(token) is None


async def test_failing_database_is_503_and_never_401(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "none" / "x.db"))
    auth = Authenticator(engine, PEPPER, FakeClock())

    answers = await asyncio.gather(
        *(auth.principal(UNKNOWN) for _ in range(3)), return_exceptions=True
    )

    for answer in answers:
        assert isinstance(answer, UnavailableError)
        assert (answer.status, answer.retry_after) == (503, 1.0)
    await engine.dispose()


async def test_fault_is_not_remembered(place):
    _, token = await place.new_key()
    async with transaction(place.engine) as tx:
        await tx.execute(text("ALTER TABLE keys RENAME TO hidden"))
    with pytest.raises(UnavailableError):
        await place.auth.principal(token)
    async with transaction(place.engine) as tx:
        await tx.execute(text("ALTER TABLE hidden RENAME TO keys"))

    assert (await place.auth.principal(token)).user_id == place.user_id


async def test_warm_keys_outlive_a_failing_database(place):
    _, token = await place.new_key()
    await place.auth.principal(token)
    async with transaction(place.engine) as tx:
        await tx.execute(text("ALTER TABLE keys RENAME TO hidden"))

    assert (await place.auth.principal(token)).user_id == place.user_id


async def test_principal_says_its_tier_and_whether_its_key_is_capped(place):
    _, token = await place.new_key()
    _, capped = await place.new_key(max_fee=5)
    async with transaction(place.engine) as tx:
        await accounts.set_tier(tx, place.user_id, Tier.VIP, place.clock.now() + 10)

    one, other = [await place.auth.principal(text) for text in (token, capped)]

    assert (one.capped, other.capped) == (False, True)
    assert one.tier_at(place.clock.now()) is Tier.VIP
    assert one.tier_at(place.clock.now() + 10) is Tier.NORMAL


async def test_disabled_key_is_refused_until_it_is_enabled(place):
    key_id, token = await place.new_key()
    for disabled in (True, False):
        async with transaction(place.engine) as tx:
            await keys.update(tx, key_id, Changes(disabled=disabled), known=())
        place.auth.forget()
        if disabled:
            with pytest.raises(DisabledKeyError):
                await place.auth.principal(token)

    assert (await place.auth.principal(token)).key_id == key_id


async def test_permissions_may_name_models_families_and_capabilities(engine):
    model = Model(id="gpt-4o", family="gpt-4", vendor="openai", title="GPT-4o")

    async with reading(engine) as connection:
        names = await grantable(connection, [model])

    assert names == {"gpt-4o", "gpt-4", "file-v1"}
