"""The guard: every address is checked, the checked one is connected to, redirects begin anew.

A name is resolved once for each request, and the connection goes to an address of that answer:
whoever controls the name cannot show a public address to the check and another to the socket.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from meterway.kit.fetching.answer import Answer, Room
from meterway.kit.fetching.content import type_of
from meterway.kit.fetching.dialing import Connector, Resolver, SystemConnector, SystemResolver
from meterway.kit.fetching.errors import FetchError, not_public
from meterway.kit.fetching.hosts import USUAL_PORTS, Address, PrivateHosts, is_public
from meterway.kit.fetching.target import Target

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRIED = 4  # addresses of one name


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be fetched: media `types`, at most `size` bytes, within `seconds` in all.

    `connect` is the time for one address of a name; `redirects` how many are followed.
    """

    types: tuple[str, ...]
    size: int = 20 * 1024 * 1024
    seconds: float = 10.0
    connect: float = 3.0
    redirects: int = 3


class Fetched(msgspec.Struct, frozen=True):
    """What a URL led to; `content_type` is one of the types asked for."""

    content_type: str
    body: bytes


class Boundless:
    """A room that counts nothing."""

    def take(self, size: int) -> None:
        """Count nothing."""

    def give(self, size: int) -> None:
        """Count nothing."""


class Fetcher:
    """Fetches by GET, over connections of their own, without cookies or credentials.

    Public addresses are reached at ports 80 and 443, others only where `private_hosts` lists them.
    """

    def __init__(
        self,
        *,
        private_hosts: PrivateHosts | None = None,
        resolver: Resolver | None = None,
        connector: Connector | None = None,
    ) -> None:
        self._private = private_hosts or PrivateHosts()
        self._resolver = resolver or SystemResolver()
        self._connector = connector or SystemConnector()

    async def fetch(self, url: str, *, limits: Limits, room: Room | None = None) -> Fetched:
        """Return what `url` leads to.

        The body stays counted in `room`, for the caller to give back. Raises `FetchError` for
        all that is wrong with the URL or its server, and what `room` raises.
        """
        try:
            async with asyncio.timeout(limits.seconds):
                return await self._follow(Target.parse(url), limits, room or Boundless())
        except TimeoutError:
            raise FetchError(
                f"What this URL leads to did not arrive within {limits.seconds:g} seconds."
            ) from None

    def close(self) -> None:
        """Begin no further lookup of a name."""
        self._resolver.close()

    async def _follow(self, target: Target, limits: Limits, room: Room) -> Fetched:
        for _ in range(limits.redirects + 1):
            found = await self._get(target, limits, room)
            if isinstance(found, Fetched):
                return found
            target = found
        raise FetchError(f"The URL redirects more than {limits.redirects} times.")

    async def _get(self, target: Target, limits: Limits, room: Room) -> Fetched | Target:
        """Make one request; return what came, or where it redirects to."""
        async with self._connected(target, limits) as (reader, writer):
            writer.write(_request(target, limits))
            answer = Answer(reader, limits.size, room)
            try:
                await answer.head()
                location = answer.header(b"location")
                if answer.status in _REDIRECTS and location is not None:
                    room.give(answer.held)
                    answer.held = 0
                    return target.redirected(location)
                return await _content(answer, limits)
            except BaseException:
                room.give(answer.held)
                raise

    @asynccontextmanager
    async def _connected(
        self, target: Target, limits: Limits
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await self._connect(target, await self._checked(target), limits)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _checked(self, target: Target) -> Sequence[Address]:
        """Return the addresses of `target`, all of which may be fetched from.

        Raises `FetchError` where one may not: a name with a foot inside is nobody's to fetch.
        """
        if target.port not in self._private.ports:
            raise _bad_port()
        addresses = await self._addresses(target)
        for address in addresses:
            if self._private.cover(target.host, address, target.port):
                continue
            if not is_public(address):
                raise not_public()
            if target.port not in USUAL_PORTS:
                raise _bad_port()
        return addresses

    async def _addresses(self, target: Target) -> Sequence[Address]:
        if target.address is not None:
            return (target.address,)
        try:
            addresses = await self._resolver.resolve(target.host)
        except OSError:
            raise not_public() from None
        if not addresses:
            raise not_public()
        return addresses

    async def _connect(
        self, target: Target, addresses: Sequence[Address], limits: Limits
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first of `addresses` that answers."""
        tls_name = target.host if target.scheme == "https" else None
        for address in addresses[:_TRIED]:
            try:
                async with asyncio.timeout(limits.connect):
                    return await self._connector.connect(address, target.port, tls_name)
            except ssl.SSLError:
                raise FetchError(
                    "The server of this URL has no certificate for its name that can be trusted."
                ) from None
            except (OSError, TimeoutError):
                continue
        raise FetchError("The server of this URL cannot be reached.")


async def _content(answer: Answer, limits: Limits) -> Fetched:
    if answer.status != _OK:
        raise FetchError(
            f"The server of this URL answers with status {answer.status} instead of the content."
        )
    body = await answer.body()
    declared = (answer.header(b"content-type") or b"").decode("latin-1")
    return Fetched(type_of(body, declared, limits.types), body)


def _request(target: Target, limits: Limits) -> bytes:
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"host: {target.authority}",
        f"accept: {', '.join(limits.types)}",
        "accept-encoding: identity",
        "user-agent: meterway",
        "connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _bad_port() -> FetchError:
    return FetchError("The URL names another port than 80 and 443.")
