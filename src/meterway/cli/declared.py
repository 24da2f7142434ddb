"""Channels that are declared rather than added: in the environment and in the settings file."""

from collections.abc import Iterable, Mapping

from meterway.routing.errors import BadChannelError
from meterway.routing.types import NewChannel, Origin
from meterway.settings import ChannelTable
from meterway.upstreams.providers import engine_url
from meterway.upstreams.types import Provider


def from_environment(
    providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> list[NewChannel]:
    """Return a channel for each provider the environment has the key or the address of.

    It is called as its row. A row without an address of its own needs both variables. Raises
    `BadChannelError` for an engine's address that is none.
    """
    channels = []
    for provider in providers.values():
        key = environ.get(provider.key_env, "").strip() if provider.key_env else ""
        address = environ.get(provider.url_env, "").strip() if provider.url_env else ""
        wanted = key if provider.key_env else address
        if not wanted or (provider.base_url is None and not address):
            continue
        if address and provider.base_url is not None:
            address = _completed(provider, address)
        channels.append(
            NewChannel(
                name=provider.name,
                provider=provider.name,
                base_url=address or None,
                secrets=(key,) if key else (),
                origin=Origin.ENVIRONMENT,
            )
        )
    return channels


def _completed(provider: Provider, address: str) -> str:
    try:
        return engine_url(provider, address)
    except ValueError:
        message = f"{provider.url_env} is no address such as {provider.base_url}."
        raise BadChannelError(message) from None


def from_settings(tables: Iterable[ChannelTable]) -> list[NewChannel]:
    """Return the channels of the settings file."""
    return [_from_table(table) for table in tables]


def _from_table(table: ChannelTable) -> NewChannel:
    keys = ([table.api_key] if table.api_key else []) + table.api_keys
    models = table.models if isinstance(table.models, dict) else {m: m for m in table.models}
    timeouts = {
        "connect": table.connect_timeout,
        "first_byte": table.first_byte_timeout,
        "idle": table.idle_timeout,
    }
    return NewChannel(
        name=table.name,
        provider=table.provider,
        base_url=table.base_url,
        secrets=tuple(key.get_secret_value() for key in keys),
        models=models,
        priority=table.priority,
        weight=table.weight,
        prefix=table.prefix,
        enabled=table.enabled,
        headers={name: value.get_secret_value() for name, value in table.headers.items()},
        timeouts={name: limit for name, limit in timeouts.items() if limit is not None},
        origin=Origin.FILE,
    )
