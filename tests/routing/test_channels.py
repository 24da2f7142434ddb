"""Channels: stored with their secrets sealed, listed as the router wants them."""

import re

import pytest
from sqlalchemy import text

from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.kit.crypto import Box, SealError
from meterway.protocols.dialects import Dialect
from meterway.routing import service as routing
from meterway.routing.errors import BadChannelError, ChannelExistsError, ChannelNotFoundError
from meterway.routing.types import NewChannel
from meterway.upstreams.types import AuthForm, Provider, Timeouts

OLD, NEW = b"o" * 32, b"n" * 32
BOX = Box([OLD])
SPEAKS = {Dialect.OPENAI_CHAT: "/chat/completions"}
PROVIDERS = {
    row.name: row
    for row in (
        Provider(
            name="vendor", title="V", speaks=SPEAKS, source="", base_url="https://api.vendor/v1"
        ),
        Provider(name="generic", title="G", speaks=SPEAKS, source=""),
        Provider(
            name="engine",
            title="E",
            speaks=SPEAKS,
            source="",
            base_url="http://127.0.0.1:1",
            auth=AuthForm.NONE,
            local=True,
        ),
        Provider(
            name="inside",
            title="I",
            speaks=SPEAKS,
            source="",
            base_url="http://inside",
            auth=AuthForm.NONE,
            transport="sandbox",
        ),
    )
}
FULL = NewChannel(
    name="main",
    provider="vendor",
    base_url="https://eu.vendor/v1/",
    secrets=("canary-one", "canary-two"),
    models={"ours": "theirs"},
    priority=3,
    weight=7,
    prefix="TA",
    headers={"X-Team": "canary-header"},
    timeouts={"idle": 9.0},
)


def _new(**facts):
    return NewChannel(**{"name": "a", "provider": "vendor", "secrets": ("k",), **facts})


async def _add(engine, new=FULL, now=1_800_000_000.0):
    async with transaction(engine) as tx:
        return await routing.add_channel(tx, BOX, new, PROVIDERS, now=now)


async def _list(engine, box=BOX, **options):
    async with reading(engine) as connection:
        return await routing.list_channels(connection, box, PROVIDERS, **options)


async def _versions(engine):
    async with reading(engine) as connection:
        return await versions.read(connection)


async def _remove(engine, name):
    async with transaction(engine) as tx:
        await routing.remove_channel(tx, name, now=1_800_000_001.0)


async def test_channel_comes_back_as_it_was_said(engine):
    channel_id = await _add(engine)

    [channel] = await _list(engine, defaults=Timeouts(connect=1.0, first_byte=2.0, idle=3.0))

    assert (channel.id, channel.name, channel.provider) == (channel_id, "main", PROVIDERS["vendor"])
    assert channel.base_url == "https://eu.vendor/v1"
    assert [credential.secret for credential in channel.credentials] == list(FULL.secrets)
    assert (channel.models, channel.headers) == (FULL.models, FULL.headers)
    assert (channel.priority, channel.weight, channel.prefix) == (3, 7, "TA")
    assert channel.timeouts == Timeouts(connect=1.0, first_byte=2.0, idle=9.0)
    assert channel.enabled


async def test_secrets_are_sealed_in_the_database_and_hidden_in_representations(engine):
    await _add(engine)

    async with reading(engine) as connection:
        rows = (await connection.execute(text("SELECT * FROM channels"))).all()
        stored = await routing.stored(connection)

    shown = f"{rows!r} {stored!r} {FULL!r} {await _list(engine)!r}"
    assert "canary" not in shown


async def test_row_moved_to_another_channel_does_not_open(engine):
    await _add(engine)
    await _add(engine, _new(name="other"))
    async with transaction(engine) as tx:
        await tx.execute(
            text(
                "UPDATE channels SET credentials = (SELECT credentials FROM channels c2 "
                "WHERE c2.name = 'main') WHERE name = 'other'"
            )
        )

    with pytest.raises(SealError):
        await _list(engine)


async def test_each_change_moves_the_version(engine):
    await _add(engine)
    added = await _versions(engine)
    async with transaction(engine) as tx:
        await routing.set_enabled(tx, "main", enabled=False)
    disabled = await _versions(engine)
    await _remove(engine, "main")
    removed = await _versions(engine)

    assert [added["channels"], disabled["channels"], removed["channels"]] == [1, 2, 3]


async def test_disabled_channel_is_listed_as_such(engine):
    await _add(engine)

    async with transaction(engine) as tx:
        await routing.set_enabled(tx, "main", enabled=False)

    assert [channel.enabled for channel in await _list(engine)] == [False]


async def test_removed_channel_leaves_no_secret_and_frees_its_name(engine):
    await _add(engine)

    await _remove(engine, "main")
    await _add(engine, _new(name="main"))

    async with reading(engine) as connection:
        rows = await connection.execute(
            text("SELECT credentials, headers FROM channels WHERE deleted_at IS NOT NULL")
        )
        assert [tuple(row) for row in rows] == [(None, None)]
    assert [channel.name for channel in await _list(engine)] == ["main"]


async def test_name_is_taken_once_and_the_transaction_goes_on(engine):
    await _add(engine)

    async with transaction(engine) as tx:
        with pytest.raises(ChannelExistsError):
            await routing.add_channel(tx, BOX, FULL, PROVIDERS, now=0)
        await routing.add_channel(tx, BOX, _new(), PROVIDERS, now=0)

    assert [channel.name for channel in await _list(engine)] == ["main", "a"]


async def test_first_real_channel_is_remembered_after_its_removal(engine):
    async def ever():
        async with reading(engine) as connection:
            return await routing.ever_had_real_channel(connection)

    before = await ever()
    await _add(engine, NewChannel(name="s", provider="inside"))
    sandbox_alone = await ever()
    await _add(engine)
    await _remove(engine, "main")

    assert (before, sandbox_alone, await ever()) == (False, False, True)


async def test_unknown_channels_are_not_found(engine):
    with pytest.raises(ChannelNotFoundError):
        await _remove(engine, "nope")
    async with transaction(engine) as tx:
        with pytest.raises(ChannelNotFoundError):
            await routing.set_enabled(tx, "nope", enabled=True)


async def test_channel_of_a_provider_this_version_lacks_is_left_out(sqlite):
    await _add(sqlite)
    await _add(sqlite, _new())
    async with transaction(sqlite) as tx:
        await tx.execute(text("UPDATE channels SET provider = 'gone' WHERE name = 'a'"))

    assert [channel.name for channel in await _list(sqlite)] == ["main"]


async def test_other_secret_opens_nothing_and_says_so(sqlite):
    await _add(sqlite)

    with pytest.raises(SealError, match="secret file"):
        await _list(sqlite, Box([NEW]))


async def test_resealed_secrets_open_with_the_new_secret_alone(engine):
    await _add(engine)
    await _add(engine, NewChannel(name="e", provider="engine"))
    before = await _list(engine)

    async with transaction(engine) as tx:
        count = await routing.reseal(tx, Box([NEW, OLD]))

    assert count == 2
    assert await _list(engine, Box([NEW])) == before
    with pytest.raises(SealError):
        await _list(engine, Box([OLD]))
    assert (await _versions(engine))["channels"] == 3


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"provider": "nope"}, "Known: engine, generic, inside, vendor"),
        ({"provider": "generic"}, "needs a base URL"),
        ({"secrets": ()}, "needs a key"),
        ({"secrets": ("",)}, "one word"),
        ({"secrets": ("a\r\nb",)}, "one word"),
        ({"secrets": ("a b",)}, "one word"),
        ({"secrets": ("é",)}, "one word"),
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"base_url": "ftp://x"}, "base URL"),
        ({"base_url": "api.example.com"}, "base URL"),
        ({"base_url": "http://"}, "base URL"),
        ({"base_url": "http://x:99999"}, "base URL"),
        ({"base_url": "http://[::1"}, "base URL"),
        ({"base_url": "http://a b"}, "base URL"),
        ({"base_url": "http://x\r\ny"}, "base URL"),
        ({"base_url": "http://user:canary@x"}, "no user, password"),
        ({"base_url": "http://x?key=canary"}, "no user, password"),
        ({"weight": 0}, "weight"),
        ({"prefix": "a/b"}, "prefix"),
        ({"models": {"a": ""}}, "OURS=THEIRS"),
        ({"headers": {"Host": "x"}}, "'Host'"),
        ({"headers": {"content-length": "1"}}, "'content-length'"),
        ({"headers": {"a b": "x"}}, "'a b'"),
        ({"headers": {"X-A": "canary\r\nX-B: 1"}}, "'X-A'"),
        ({"timeouts": {"idle": 0}}, "timeout"),
        ({"timeouts": {"total": 1}}, "timeout"),
    ],
)
async def test_unusable_facts_are_refused_without_showing_secrets(sqlite, facts, said):
    with pytest.raises(BadChannelError) as caught:
        await _add(sqlite, _new(**facts))

    assert said in caught.value.message
    assert "canary" not in caught.value.message
    assert await _list(sqlite) == []


async def _makers(engine, key=b"k" * 32):
    channels = await _list(engine, maker_key=key)
    return [one.maker for channel in channels for one in channel.credentials or (channel,)]


async def test_accounts_have_names_that_last_and_tell_nothing(engine):
    facts = {"base_url": FULL.base_url, "headers": FULL.headers, "secrets": FULL.secrets[:1]}
    await _add(engine)  # with several keys
    await _add(engine, _new(name="same", **facts))
    await _add(engine, _new(name="place", **{**facts, "base_url": "https://us.vendor/v1"}))
    await _add(engine, _new(name="bare", **{**facts, "headers": {}}))

    first, again = await _makers(engine), await _makers(engine)
    other = await _makers(engine, b"o" * 32)

    assert first == again
    *own, same, place, bare = first
    assert same == own[0]
    assert len({*own, place, bare}) == len(own) + 2
    assert set(first).isdisjoint(other)
    assert all(re.fullmatch("[A-Za-z0-9_-]{12}", name) for name in first)


async def test_accounts_have_no_names_for_those_who_only_look(engine):
    await _add(engine)

    [channel] = await _list(engine)

    assert {channel.maker, *(one.maker for one in channel.credentials)} == {""}
