"""What can be done with channels: add, list, change, remove, and seal again."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db import versions
from meterway.db.metadata import to_millis
from meterway.kit.crypto import Box, pseudonym
from meterway.kit.ids import random_text
from meterway.routing import checks, store
from meterway.routing.errors import (
    ChannelElsewhereError,
    ChannelExistsError,
    ChannelNotFoundError,
)
from meterway.routing.types import NewChannel, Origin, StoredChannel
from meterway.upstreams.types import Channel, Credential, Provider, Timeouts

_log = structlog.get_logger()
_ID_LENGTH = 8
# Who takes the place of whom under one name; what was added by command stands above all.
_STRENGTH = {Origin.DETECTED: 0, Origin.ENVIRONMENT: 1, Origin.FILE: 2}
# Whose removal keeps a channel from coming back: a guess yields to more than what is said.
_HEEDED = {
    Origin.DETECTED: (Origin.DETECTED, Origin.ENVIRONMENT),
    Origin.ENVIRONMENT: (Origin.ENVIRONMENT,),
    Origin.FILE: (),
}

Providers = Mapping[str, Provider]


async def add_channel(
    tx: AsyncConnection,
    box: Box,
    new: NewChannel,
    providers: Providers,
    *,
    now: float,
) -> int:
    """Store a channel with its secrets sealed; return its id.

    `now` is in seconds since the epoch. Raises `BadChannelError` and `ChannelExistsError`.
    """
    facts = _facts(new, providers) | {"enabled": new.enabled}
    facts |= {"withdrawn": False, "created_at": to_millis(now)}
    try:
        async with tx.begin_nested():
            channel_id = await store.add(tx, facts)
    except IntegrityError:
        raise ChannelExistsError(f"There is a channel '{new.name}' already.") from None
    await store.change(tx, channel_id, _sealed(box, channel_id, new, ()))
    await versions.bump(tx, versions.CHANNELS)
    return channel_id


async def list_channels(
    connection: AsyncConnection,
    box: Box,
    providers: Providers,
    *,
    defaults: Timeouts = Timeouts(),  # noqa: B008 - an immutable value
    maker_key: bytes | None = None,
) -> list[Channel]:
    """Return every channel that was not removed, disabled ones too, oldest first.

    With `maker_key` their accounts have names (ADR 0012), the same on each machine and for ever.
    A channel whose provider this version does not know is left out and logged. Raises
    `SealError` where a secret cannot be opened: after a rotation, load the secret file again.
    """
    channels = []
    for row in await store.live(connection):
        provider = providers.get(row.provider)
        if provider is None:
            _log.warning("channel.unknown_provider", channel=row.name, provider=row.provider)
            continue
        channels.append(_named(_opened(row, box, provider, defaults), maker_key))
    return channels


async def stored(connection: AsyncConnection) -> list[StoredChannel]:
    """Return the rows of every channel that was not removed, secrets sealed, oldest first."""
    return await store.live(connection)


async def ever_had_real_channel(connection: AsyncConnection) -> bool:
    """Say whether a channel other than the sandbox was ever added, removed or not."""
    return await store.any_real(connection)


async def remove_channel(tx: AsyncConnection, name: str, *, now: float) -> None:
    """Remove a channel and its secrets; that it was there stays known.

    Raises `ChannelNotFoundError`, and `ChannelElsewhereError` for one of the settings file.
    """
    row = await _changeable(tx, name)
    await _forget(tx, row, now)
    await versions.bump(tx, versions.CHANNELS)


async def set_enabled(tx: AsyncConnection, name: str, *, enabled: bool) -> None:
    """Say whether calls may go to a channel. Raises as `remove_channel` does."""
    row = await _changeable(tx, name)
    await store.change(tx, row.id, {"enabled": enabled})
    await versions.bump(tx, versions.CHANNELS)


async def set_models(tx: AsyncConnection, name: str, models: Mapping[str, str]) -> None:
    """Say which models a channel offers. Raises as `remove_channel` does."""
    row = await _changeable(tx, name)
    await store.change(tx, row.id, {"models": dict(models)})
    await versions.bump(tx, versions.CHANNELS)


async def reseal(tx: AsyncConnection, box: Box) -> int:
    """Seal every secret by the box's newest generation; return how many channels there are."""
    rows = await store.live(tx)
    for row in rows:
        texts = {"credentials": row.credentials, "headers": row.headers}
        fresh = {
            column: box.reseal(text, _place(column, row.id))
            for column, text in texts.items()
            if text is not None
        }
        if fresh:
            await store.change(tx, row.id, fresh)
    await versions.bump(tx, versions.CHANNELS)
    return len(rows)


async def sync(  # noqa: PLR0913 - the transaction, the box and the rows stand in every signature
    tx: AsyncConnection,
    box: Box,
    declared: Sequence[NewChannel],
    providers: Providers,
    *,
    origin: Origin,
    now: float,
    keep: bool = False,
) -> None:
    """Make the channels of one origin what is declared now, all with that origin; at each start.

    The environment's and the detected ones: what changed is taken over, what is no longer
    declared is withdrawn unless `keep`, and comes back when declared again; what the operator
    disabled or removed stays so. The file's: they are exactly the file's. Of one name, the file's
    takes the place of the environment's, and that of a detected one.
    Raises `BadChannelError`, and `ChannelExistsError` where the file names a channel of the
    command line.
    """
    there = {row.name: row for row in await store.live(tx)}
    changed = False
    for new in declared:
        changed |= await _declare(tx, box, new, providers, there.get(new.name), now)
    names = {new.name for new in declared}
    for row in there.values():
        if row.origin is origin and row.name not in names and not keep:
            changed |= await _withdraw(tx, row, now)
    if changed:
        await versions.bump(tx, versions.CHANNELS)


async def _declare(  # noqa: PLR0913, PLR0917 - one step of `sync`, with what that has
    tx: AsyncConnection,
    box: Box,
    new: NewChannel,
    providers: Providers,
    row: StoredChannel | None,
    now: float,
) -> bool:
    from_file = new.origin is Origin.FILE
    if row is None:
        if await store.was_removed(tx, new.name, _HEEDED[new.origin]):
            return False
        await add_channel(tx, box, new, providers, now=now)
        return True
    if not _yields(row, new.origin):
        if from_file:
            raise ChannelExistsError(
                f"The settings file names channel '{new.name}', which was added by command; "
                "remove one of the two."
            )
        return False
    facts = _facts(new, providers) | {"withdrawn": False}
    if from_file:
        facts["enabled"] = new.enabled
    old = _credentials(box, row)
    same = tuple(c.secret for c in old) == new.secrets and _headers(box, row) == new.headers
    if same and all(getattr(row, column) == value for column, value in facts.items()):
        return False
    await store.change(tx, row.id, facts | _sealed(box, row.id, new, old))
    return True


def _yields(row: StoredChannel, origin: Origin) -> bool:
    """Say whether a channel becomes what `origin` declares under its name."""
    if row.origin is origin or row.origin is Origin.CLI:
        return row.origin is origin
    return row.withdrawn or _STRENGTH[row.origin] < _STRENGTH[origin]


async def _withdraw(tx: AsyncConnection, row: StoredChannel, now: float) -> bool:
    if row.origin is Origin.FILE:
        await _forget(tx, row, now)
        return True
    if row.withdrawn:
        return False
    await store.change(tx, row.id, {"withdrawn": True})
    return True


async def _changeable(tx: AsyncConnection, name: str) -> StoredChannel:
    row = await store.named(tx, name)
    if row is None:
        raise ChannelNotFoundError(
            f"There is no channel '{name}'; `meterway channel list` shows all."
        )
    if row.origin is Origin.FILE:
        raise ChannelElsewhereError(
            f"Channel '{name}' is kept in the settings file; change it there and start again."
        )
    return row


async def _forget(tx: AsyncConnection, row: StoredChannel, now: float) -> None:
    gone = {"deleted_at": to_millis(now), "credentials": None, "headers": None}
    await store.change(tx, row.id, gone)


def _facts(new: NewChannel, providers: Providers) -> dict[str, Any]:
    """Check what is said and return the columns that hold no secret."""
    provider = checks.provider_of(new, providers)
    checks.check(new, provider)
    return {
        "name": new.name,
        "provider": provider.name,
        "origin": new.origin,
        "base_url": checks.base_url_of(new, provider),
        "models": dict(new.models),
        "priority": new.priority,
        "weight": new.weight,
        "prefix": new.prefix,
        "timeouts": dict(new.timeouts),
        "real": provider.transport == "network",
    }


def _sealed(
    box: Box, channel_id: int, new: NewChannel, old: Sequence[Credential]
) -> dict[str, str | None]:
    """Return the sealed columns; a secret that was there before keeps its id."""
    ids = {credential.secret: credential.id for credential in old}
    credentials = [[ids.get(s) or f"{new.name}-{random_text(_ID_LENGTH)}", s] for s in new.secrets]
    parts = {"credentials": credentials, "headers": dict(new.headers)}
    return {
        column: box.seal(msgspec.json.encode(value), _place(column, channel_id)) if value else None
        for column, value in parts.items()
    }


def _opened(row: StoredChannel, box: Box, provider: Provider, defaults: Timeouts) -> Channel:
    return Channel(
        id=row.id,
        name=row.name,
        provider=provider,
        base_url=row.base_url,
        credentials=_credentials(box, row),
        models=row.models,
        priority=row.priority,
        weight=row.weight,
        prefix=row.prefix,
        enabled=row.enabled and not row.withdrawn,
        headers=_headers(box, row),
        timeouts=msgspec.structs.replace(defaults, **row.timeouts),
    )


def _named(channel: Channel, key: bytes | None) -> Channel:
    """Name who alone reads what is encrypted for a channel: an address, with all that opens it."""
    if key is None:
        return channel
    headers = [part for pair in sorted(channel.headers.items()) for part in pair]
    held = [
        Credential(one.id, one.secret, pseudonym(key, channel.base_url, one.secret, *headers))
        for one in channel.credentials
    ]
    maker = pseudonym(key, channel.base_url, "", *headers)
    return msgspec.structs.replace(channel, credentials=tuple(held), maker=maker)


def _credentials(box: Box, row: StoredChannel) -> tuple[Credential, ...]:
    if row.credentials is None:
        return ()
    plain = box.open(row.credentials, _place("credentials", row.id))
    pairs = msgspec.json.decode(plain, type=list[tuple[str, str]])
    return tuple(Credential(name, secret) for name, secret in pairs)


def _headers(box: Box, row: StoredChannel) -> dict[str, str]:
    if row.headers is None:
        return {}
    plain = box.open(row.headers, _place("headers", row.id))
    return msgspec.json.decode(plain, type=dict[str, str])


def _place(column: str, channel_id: int) -> str:
    return f"channels.{column}:{channel_id}"
