"""Local engines: which run at their usual addresses, and which models they list.

Only this machine is asked: a loopback address in numbers, or `localhost`, so that no name server
delays a start.
"""

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from meterway.kit.errors import MeterwayError
from meterway.routing.types import NewChannel, Origin, StoredChannel
from meterway.upstreams import encode, listing
from meterway.upstreams.transport import Transport
from meterway.upstreams.types import Channel, Provider, Route

DETECTED_PRIORITY = 100  # after every channel somebody spoke of
_PATIENCE = 0.4
_LIST_LIMIT = 1024 * 1024
_OK = 200
_LATEST = ":latest"

Address = tuple[str, int | None]


class Engines:
    """Asks engines of this machine for their models, each within `patience` seconds."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        transport: Transport,
        *,
        patience: float = _PATIENCE,
    ) -> None:
        self._providers = providers
        self._transport = transport
        self._patience = patience

    async def detected(
        self, environ: Mapping[str, str], taken: Collection[Address]
    ) -> list[NewChannel]:
        """Return a channel for each engine that lists models at its usual address.

        Left out are those the environment gives an address of, and addresses already `taken`.
        """
        rows = [
            row
            for row in self._providers.values()
            if row.local
            and row.url_env
            and row.base_url
            and not environ.get(row.url_env, "").strip()
            and address_of(row.base_url) not in taken
        ]
        answers = await asyncio.gather(*(self._ask(row, row.base_url or "") for row in rows))
        return [
            NewChannel(
                name=row.name,
                provider=row.name,
                models=offered(names),
                priority=DETECTED_PRIORITY,
                origin=Origin.DETECTED,
            )
            for row, names in zip(rows, answers, strict=True)
            if names
        ]

    async def with_models(
        self, channels: Sequence[NewChannel], stored: Iterable[StoredChannel]
    ) -> list[NewChannel]:
        """Return `channels`, those of engines with the models they list.

        An engine that does not answer keeps the list it is `stored` with at the same address,
        and takes every name where there is none.
        """
        known = {(row.name, row.base_url): row.models for row in stored}
        answers = await asyncio.gather(*(self._listed_by(channel) for channel in channels))
        completed = []
        for channel, names in zip(channels, answers, strict=True):
            before = known.get((channel.name, self._url(channel)), {})
            models = before if names is None else offered(names)
            completed.append(msgspec.structs.replace(channel, models=models))
        return completed

    async def _listed_by(self, channel: NewChannel) -> tuple[str, ...] | None:
        provider = self._providers[channel.provider]
        return await self._ask(provider, self._url(channel)) if provider.local else ()

    def _url(self, channel: NewChannel) -> str:
        url = channel.base_url or self._providers[channel.provider].base_url or ""
        return url.rstrip("/")

    async def _ask(self, provider: Provider, url: str) -> tuple[str, ...] | None:
        """Return the names listed at `url`, None where no engine of this machine answers."""
        request = encode.listing(_route(provider, url))
        if request is None or not _is_here(request.url.host):
            return None
        try:
            async with asyncio.timeout(self._patience):
                response = await self._transport.send(request)
                if response.status != _OK:
                    await response.close()
                    return None
                return listing.engine_names(await response.read(_LIST_LIMIT))
        except (MeterwayError, TimeoutError):
            return None


def offered(names: Iterable[str]) -> dict[str, str]:
    """Return the models to offer for names listed: `x:latest` answers to `x` too.

    That is how Ollama reads a name without a tag, https://docs.ollama.com/api.
    """
    models = {name: name for name in names}
    short = {name.removesuffix(_LATEST): name for name in models if name.endswith(_LATEST)}
    return {ours: theirs for ours, theirs in short.items() if ours} | models


def address_of(url: str) -> Address:
    """Return host and port of a base URL, so that two can be compared."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    return host, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _route(provider: Provider, url: str) -> Route:
    channel = Channel(id=0, name=provider.name, provider=provider, base_url=url, credentials=())
    dialect = next(iter(provider.speaks))
    return Route(channel=channel, credential=None, model="", dialect=dialect)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
