"""`meterway channel …`."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.cli.engines import offered
from meterway.cli.frame import Failure, Frame, common, run, secret_from
from meterway.cli.installation import Installation, locked, opened
from meterway.cli.trial import NoModelError, Outcome, listed, outcomes
from meterway.cli.unpriced import told, unpriced
from meterway.db.engine import reading, transaction
from meterway.processes.network import open_network
from meterway.routing import service as routing
from meterway.routing.errors import BadChannelError, ChannelNotFoundError
from meterway.routing.types import NewChannel, Origin, StoredChannel
from meterway.settings import Settings
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.transport import Transport
from meterway.upstreams.types import Channel


@click.group()
def channel() -> None:
    """Add, list, test, refresh and remove channels."""


@channel.command()
@click.option("--provider", required=True, help="Provider row, such as openai or ollama.")
@click.option("--name", help="What the channel is called; default: the provider's name.")
@click.option("--base-url", help="Address; default: the provider's own.")
@click.option("--api-key", "keys", multiple=True, help="Key; `-` reads it from standard input.")
@click.option("--api-key-env", "key_names", multiple=True, help="Variable that holds a key.")
@click.option("--models", default="", help="Models offered: a,b or ours=theirs; default: all.")
@click.option("--priority", type=int, default=0, help="Lower numbers are tried first.")
@click.option("--weight", type=click.IntRange(1), default=1, help="Share among equals.")
@click.option("--prefix", help="Also offer its models as PREFIX/model.")
@click.option("--header", "headers", multiple=True, help="`Name: value`, sent with every call.")
@common
def add(  # noqa: PLR0913 - one parameter per option
    frame: Frame,
    /,
    *,
    provider: str,
    name: str | None,
    base_url: str | None,
    keys: tuple[str, ...],
    key_names: tuple[str, ...],
    models: str,
    headers: tuple[str, ...],
    **plain: Any,
) -> None:
    """Add a channel; calls may go there within a second."""
    new = NewChannel(
        name=name or provider,
        provider=provider,
        base_url=base_url,
        secrets=(*map(secret_from, keys), *map(_from_environment, key_names)),
        models=_models(models),
        headers=dict(map(_header, headers)),
        **plain,
    )
    settings = frame.settings()
    with locked(settings.data):  # else a rotation could drop the secret this one seals with
        channel_id, missing = run(_add(settings, new))
    facts = {"id": str(channel_id), "name": new.name, "unpriced": missing}
    frame.say(facts, f"Channel {new.name} was added.")
    if missing:
        fact, command = told(missing)
        click.echo(f"{fact}: run {command}.", err=True)


async def _add(settings: Settings, new: NewChannel) -> tuple[int, list[str]]:
    """Add a channel; return its id, and its models that have no price."""
    async with opened(settings) as place, transaction(place.engine) as tx:
        now = place.clock.now()
        channel_id = await routing.add_channel(tx, place.secrets.box, new, PROVIDERS, now=now)
        missing = await unpriced(tx, await _channels(place, tx))
        return channel_id, missing.get(new.name, [])


def _from_environment(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise click.UsageError(f"The variable {variable} is not set.")
    return value


def _models(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
    return {ours: theirs if equals else ours for ours, equals, theirs in pairs}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter("A header is written as `Name: value`.")
    return name.strip(), value.strip()


@channel.command("list")
@common
def list_(frame: Frame) -> None:
    """List the channels, without their secrets."""
    rows = [_facts(*pair) for pair in run(_listed(frame.settings()))]
    frame.say_table(rows, ("name", "provider", "base_url", "enabled", "priority", "keys", "origin"))


async def _listed(settings: Settings) -> Iterable[tuple[StoredChannel, Channel]]:
    async with opened(settings) as place, reading(place.engine) as connection:
        rows = await routing.stored(connection)
        by_id = {one.id: one for one in await _channels(place, connection)}
        return [(row, by_id[row.id]) for row in rows if row.id in by_id]


async def _channels(place: Installation, connection: AsyncConnection) -> list[Channel]:
    return await routing.list_channels(connection, place.secrets.box, PROVIDERS)


def _facts(row: StoredChannel, one: Channel) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "name": row.name,
        "provider": row.provider,
        "base_url": row.base_url,
        "enabled": one.enabled,
        "priority": row.priority,
        "weight": row.weight,
        "prefix": row.prefix,
        "models": row.models,
        "headers": sorted(one.headers),
        "keys": len(one.credentials),
        "origin": str(row.origin),
        "withdrawn": row.withdrawn,
    }


@channel.command("test")
@click.argument("name")
@click.option("--model", help="Model as the upstream calls it; default: the first known one.")
@common
def test_(frame: Frame, name: str, model: str | None) -> None:
    """Make one tiny real call along each of a channel's keys; it may cost a few tokens."""
    results = run(_tested(frame.settings(), name, model))
    rows = [msgspec.structs.asdict(result) for result in results]
    frame.say_table(rows, ("credential", "model", "ok", "seconds", "error"))
    if not all(result.ok for result in results):
        raise Failure(f"Channel {name} does not answer with every key.", 1)


async def _tested(settings: Settings, name: str, model: str | None) -> list[Outcome]:
    async with opened(settings) as place:
        found = await _named(place, name)
        async with _transport(settings, found) as transport:
            return [one async for one in outcomes(found, transport, place.clock, model)]


async def _named(place: Installation, name: str) -> Channel:
    async with reading(place.engine) as connection:
        for one in await _channels(place, connection):
            if one.name == name:
                return one
    raise ChannelNotFoundError(f"There is no channel '{name}'; `meterway channel list` shows all.")


@asynccontextmanager
async def _transport(settings: Settings, one: Channel) -> AsyncIterator[Transport]:
    if one.provider.transport != "network":
        raise BadChannelError(f"Channel '{one.name}' answers within the gateway; nothing to ask.")
    transport = open_network(settings)
    try:
        yield transport
    finally:
        await transport.close()


@channel.command()
@click.argument("name")
@common
def refresh(frame: Frame, name: str) -> None:
    """Offer the models a channel's upstream lists now; names of your own stay."""
    settings = frame.settings()
    models = run(_refreshed(settings, name))
    facts = {"name": name, "models": models}
    frame.say(facts, f"Channel {name} offers: {', '.join(models)}.")


async def _refreshed(settings: Settings, name: str) -> dict[str, str]:
    async with opened(settings) as place:
        found = await _named(place, name)
        async with reading(place.engine) as connection:
            rows = await routing.stored(connection)
        origin = next(row.origin for row in rows if row.id == found.id)
        if origin is Origin.ENVIRONMENT and not found.provider.local:
            raise BadChannelError(
                f"Channel '{name}' offers all its vendor's models, and is made anew at each start."
            )
        credential = next(iter(found.credentials), None)
        async with _transport(settings, found) as transport:
            names = await listed(found, credential, transport, place.clock)
        if not names:
            raise NoModelError(f"The upstream of '{name}' lists no models; the list stays.")
        own = {
            ours: theirs
            for ours, theirs in found.models.items()
            if ours != theirs and theirs in names
        }
        models = (offered(names) if found.provider.local else {n: n for n in names}) | own
        async with transaction(place.engine) as tx:
            await routing.set_models(tx, name, models)
        return models


@channel.command()
@click.argument("name")
@common
def remove(frame: Frame, name: str) -> None:
    """Remove a channel and its secrets."""
    run(_remove(frame.settings(), name))
    frame.say({"name": name, "removed": True}, f"Channel {name} was removed.")


async def _remove(settings: Settings, name: str) -> None:
    async with opened(settings) as place, transaction(place.engine) as tx:
        await routing.remove_channel(tx, name, now=place.clock.now())


@channel.command()
@click.argument("name")
@common
def enable(frame: Frame, name: str) -> None:
    """Let calls go to a channel."""
    run(_set_enabled(frame.settings(), name, enabled=True))
    frame.say({"name": name, "enabled": True}, f"Channel {name} is enabled.")


@channel.command()
@click.argument("name")
@common
def disable(frame: Frame, name: str) -> None:
    """Keep a channel, but send it no calls."""
    run(_set_enabled(frame.settings(), name, enabled=False))
    frame.say({"name": name, "enabled": False}, f"Channel {name} is disabled.")


async def _set_enabled(settings: Settings, name: str, *, enabled: bool) -> None:
    async with opened(settings) as place, transaction(place.engine) as tx:
        await routing.set_enabled(tx, name, enabled=enabled)
