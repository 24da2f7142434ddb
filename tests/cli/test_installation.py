"""Preparing to serve: on PostgreSQL, by several machines, and again after a crash."""

import asyncio

import pytest

from meterway.cli.frame import AlreadyInitialisedError
from meterway.cli.installation import engine_of, initialise, opened, prepare
from meterway.db.engine import reading, transaction
from meterway.kit import secret_file
from meterway.kit.secret_file import SecretFileError
from meterway.routing import service as routing
from meterway.settings import load
from meterway.upstreams.providers import PROVIDERS


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, tmp_path):
    flags = {"data": tmp_path / "data", "detect_engines": False}
    flags["data"].mkdir()
    if request.param == "postgres":
        flags["database_url"] = request.getfixturevalue("empty_postgres")
    return load(flags, environ={})


async def _channels(settings):
    async with opened(settings) as place, reading(place.engine) as connection:
        box = place.secrets.box
        return {
            channel.name: (channel.enabled, [c.secret for c in channel.credentials])
            for channel in await routing.list_channels(connection, box, PROVIDERS)
        }


async def test_first_start_shows_and_later_ones_do_not(settings):
    first = await prepare(settings, {})
    second = await prepare(settings, {})

    assert first is not None
    assert first.key not in repr(first)
    assert first.admin.password not in repr(first)
    assert second is None


async def test_each_start_follows_the_environment(settings):
    await prepare(settings, {"OPENAI_API_KEY": "k1"})
    first = await _channels(settings)
    await prepare(settings, {"OPENAI_API_KEY": "k2", "ANTHROPIC_API_KEY": "k3"})
    second = await _channels(settings)
    await prepare(settings, {"ANTHROPIC_API_KEY": "k3"})

    assert first == {"openai": (True, ["k1"])}
    assert second == {"openai": (True, ["k2"]), "anthropic": (True, ["k3"])}
    assert await _channels(settings) == {"openai": (False, ["k2"]), "anthropic": (True, ["k3"])}


async def test_environment_is_left_alone_where_that_is_set(tmp_path):
    flags = {"data": tmp_path, "channels_from_environment": False, "detect_engines": False}
    settings = load(flags, environ={})

    await prepare(settings, {"OPENAI_API_KEY": "k1"})

    assert await _channels(settings) == {}


async def test_machines_with_one_secret_file_agree_on_the_first_start(settings):
    async with engine_of(settings) as engine, reading(engine):
        pass  # a new SQLite file is opened by one alone, who holds the data folder's lock

    answers = await asyncio.gather(*(prepare(settings, {}) for _ in range(3)))

    assert sum(answer is not None for answer in answers) == 1


async def test_machine_with_a_secret_of_its_own_is_refused(tmp_path, empty_postgres):
    one, other = (
        load(
            {"data": tmp_path / name, "database_url": empty_postgres, "detect_engines": False},
            environ={},
        )
        for name in ("one", "other")
    )
    await prepare(one, {})

    with pytest.raises(SecretFileError, match="no secret file"):
        await prepare(other, {})


async def test_set_up_is_not_done_twice(settings):
    await initialise(settings)

    with pytest.raises(AlreadyInitialisedError):
        await initialise(settings)


async def test_rotation_cut_in_the_middle_leaves_everything_readable(settings):
    await prepare(settings, {"OPENAI_API_KEY": "k1"})
    async with opened(settings) as place:
        both = place.secrets.rotated()
        secret_file.replace(settings.secret_path, both)
        before = await _channels(settings)
        async with transaction(place.engine) as tx:
            await routing.reseal(tx, both.box)

    assert before == await _channels(settings) == {"openai": (True, ["k1"])}
