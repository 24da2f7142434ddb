"""Channels declared in the environment or the settings file follow it at each start."""

import pytest

from meterway.db import versions
from meterway.db.engine import reading, transaction
from meterway.kit.crypto import Box
from meterway.protocols.dialects import Dialect
from meterway.routing import service as routing
from meterway.routing.errors import BadChannelError, ChannelElsewhereError, ChannelExistsError
from meterway.routing.types import NewChannel, Origin
from meterway.upstreams.types import Provider

BOX = Box([b"s" * 32])
PROVIDERS = {
    name: Provider(
        name=name,
        title=name,
        speaks={Dialect.OPENAI_CHAT: "/chat/completions"},
        source="",
        base_url=f"https://{name}",
    )
    for name in ("vendor", "other")
}


class Starts:
    """An installation that is started again and again with other declarations."""

    def __init__(self, engine):
        self.engine = engine

    async def declare(self, origin, *channels, keep=False):
        async with transaction(self.engine) as tx:
            await routing.sync(tx, BOX, channels, PROVIDERS, origin=origin, now=1.0, keep=keep)

    async def detected(self, *names, keep=False):
        channels = [
            NewChannel(name=name, provider=name, secrets=("d",), origin=Origin.DETECTED)
            for name in names
        ]
        await self.declare(Origin.DETECTED, *channels, keep=keep)

    async def environment(self, **keys):
        channels = [
            NewChannel(name=name, provider=name, secrets=(key,), origin=Origin.ENVIRONMENT)
            for name, key in keys.items()
        ]
        await self.declare(Origin.ENVIRONMENT, *channels)

    async def file(self, **facts):
        named = facts or None
        channel = NewChannel(
            **{"name": "vendor", "provider": "vendor", "secrets": ("f",), **facts},
            origin=Origin.FILE,
        )
        await self.declare(Origin.FILE, *([channel] if named else []))

    async def command(self, act, *arguments, **options):
        async with transaction(self.engine) as tx:
            await act(tx, *arguments, **options)

    async def seen(self):
        """Return name → (enabled, secrets) of what the router gets."""
        async with reading(self.engine) as connection:
            channels = await routing.list_channels(connection, BOX, PROVIDERS)
        return {c.name: (c.enabled, [one.secret for one in c.credentials]) for c in channels}

    async def version(self):
        async with reading(self.engine) as connection:
            return (await versions.read(connection)).get("channels", 0)


@pytest.fixture
def starts(engine):
    return Starts(engine)


async def test_key_in_the_environment_makes_a_channel(starts):
    await starts.environment(vendor="k1")

    assert await starts.seen() == {"vendor": (True, ["k1"])}


async def test_same_declaration_changes_nothing(starts):
    await starts.environment(vendor="k1")
    await starts.file(name="mine", models={"a": "b"}, headers={"X": "y"}, timeouts={"idle": 3})
    before = await starts.version()

    await starts.environment(vendor="k1")
    await starts.file(name="mine", models={"a": "b"}, headers={"X": "y"}, timeouts={"idle": 3})

    assert await starts.version() == before


async def test_changed_key_is_taken_over(starts):
    await starts.environment(vendor="k1")
    before = await starts.version()

    await starts.environment(vendor="k2")

    assert await starts.seen() == {"vendor": (True, ["k2"])}
    assert await starts.version() > before


async def test_credential_that_stays_keeps_its_id(starts):
    async def ids():
        async with reading(starts.engine) as connection:
            [channel] = await routing.list_channels(connection, BOX, PROVIDERS)
        return {credential.secret: credential.id for credential in channel.credentials}

    await starts.file(secrets=("a", "b"))
    before = await ids()
    await starts.file(secrets=("b", "c"))
    after = await ids()

    assert after["b"] == before["b"]
    assert after["c"] not in before.values()


async def test_key_taken_away_withdraws_the_channel_and_coming_back_restores_it(starts):
    await starts.environment(vendor="k1", other="k")
    await starts.environment(other="k")
    gone = await starts.seen()
    await starts.environment(vendor="k1", other="k")

    assert gone["vendor"] == (False, ["k1"])
    assert (await starts.seen())["vendor"] == (True, ["k1"])


async def test_what_the_operator_disabled_stays_disabled(starts):
    await starts.environment(vendor="k1")
    await starts.command(routing.set_enabled, "vendor", enabled=False)

    await starts.environment()
    await starts.environment(vendor="k2")

    assert await starts.seen() == {"vendor": (False, ["k2"])}


async def test_what_the_operator_removed_stays_removed(starts):
    await starts.environment(vendor="k1")
    await starts.command(routing.remove_channel, "vendor", now=2.0)

    await starts.environment(vendor="k1")

    assert await starts.seen() == {}


async def test_environment_leaves_a_channel_of_the_same_name_alone(starts):
    mine = NewChannel(name="vendor", provider="other", secrets=("mine",))
    await starts.command(routing.add_channel, BOX, mine, PROVIDERS, now=1.0)

    await starts.environment(vendor="k1")
    await starts.environment()

    assert await starts.seen() == {"vendor": (True, ["mine"])}


async def test_file_says_exactly_what_its_channels_are(starts):
    await starts.file(name="mine", secrets=("f1",))
    await starts.file(name="mine", secrets=("f2",), enabled=False)
    changed = await starts.seen()
    await starts.file(name="else")

    assert changed == {"mine": (False, ["f2"])}
    assert await starts.seen() == {"else": (True, ["f"])}


async def test_file_takes_the_place_of_the_environment(starts):
    await starts.environment(vendor="k1")

    await starts.file(name="vendor")
    await starts.environment(vendor="k2")

    assert await starts.seen() == {"vendor": (True, ["f"])}


async def test_file_refuses_the_name_of_a_channel_added_by_command(starts):
    mine = NewChannel(name="vendor", provider="vendor", secrets=("mine",))
    await starts.command(routing.add_channel, BOX, mine, PROVIDERS, now=1.0)

    with pytest.raises(ChannelExistsError, match="settings file"):
        await starts.file(name="vendor")


async def test_channel_of_the_file_is_changed_there_alone(starts):
    await starts.file(name="mine")

    with pytest.raises(ChannelElsewhereError):
        await starts.command(routing.remove_channel, "mine", now=2.0)
    with pytest.raises(ChannelElsewhereError):
        await starts.command(routing.set_enabled, "mine", enabled=False)

    assert await starts.seen() == {"mine": (True, ["f"])}


async def test_detected_channel_gives_way_to_all_others(starts):
    await starts.detected("vendor", "other")

    await starts.environment(vendor="k1")
    await starts.file(name="other")

    assert await starts.seen() == {"vendor": (True, ["k1"]), "other": (True, ["f"])}


async def test_detected_channel_takes_the_place_of_none_but_a_withdrawn_one(starts):
    mine = NewChannel(name="other", provider="other", secrets=("mine",))
    await starts.command(routing.add_channel, BOX, mine, PROVIDERS, now=1.0)
    await starts.environment(vendor="k1")

    await starts.detected("vendor", "other")
    before = await starts.seen()
    await starts.environment()
    await starts.detected("vendor", "other")

    assert before == {"vendor": (True, ["k1"]), "other": (True, ["mine"])}
    assert await starts.seen() == {"vendor": (True, ["d"]), "other": (True, ["mine"])}


async def test_detected_channel_stays_while_it_is_kept(starts):
    await starts.detected("vendor")

    await starts.detected(keep=True)
    kept = await starts.seen()
    await starts.detected()

    assert kept == {"vendor": (True, ["d"])}
    assert await starts.seen() == {"vendor": (False, ["d"])}


async def test_channel_removed_while_the_environment_named_it_is_not_detected(starts):
    await starts.environment(vendor="k1")
    await starts.command(routing.remove_channel, "vendor", now=2.0)

    await starts.detected("vendor")

    assert await starts.seen() == {}


async def test_channel_removed_while_it_was_detected_may_be_named(starts):
    await starts.detected("vendor")
    await starts.command(routing.remove_channel, "vendor", now=2.0)

    await starts.environment(vendor="k1")

    assert await starts.seen() == {"vendor": (True, ["k1"])}


async def test_one_bad_declaration_changes_nothing(starts):
    good = NewChannel(name="a", provider="vendor", secrets=("k",), origin=Origin.FILE)
    bad = NewChannel(name="b", provider="nope", origin=Origin.FILE)

    with pytest.raises(BadChannelError):
        await starts.declare(Origin.FILE, good, bad)

    assert await starts.seen() == {}
