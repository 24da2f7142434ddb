"""The network as the fetcher sees it: a resolver of names, and a connector to one address."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from meterway.kit.fetching.hosts import Address
from meterway.kit.tls import default_context

_CHUNK = 64 * 1024
_LOOKUPS = 8


class Resolver(Protocol):
    """Knows the addresses of names."""

    async def resolve(self, name: str) -> Sequence[Address]:
        """Return every address of `name`, in the order to try them. Raises `OSError`."""

    def close(self) -> None:
        """Begin no further lookup."""


class Connector(Protocol):
    """Opens connections."""

    async def connect(
        self, address: Address, port: int, tls_name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to this very address.

        With `tls_name` the connection is TLS, and the certificate must be for that name.
        Raises `OSError`, of which `ssl.SSLError` is one.
        """


class SystemResolver:
    """Asks the machine's resolver, in threads of its own.

    A caller who names hosts whose servers never answer holds up other fetches, not the lookups
    on the way to upstreams.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="fetch-lookup")

    async def resolve(self, name: str) -> Sequence[Address]:
        """Return every address of `name`. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, _addresses, name)
        except UnicodeError as error:
            raise OSError(str(error)) from None

    def close(self) -> None:
        """Begin no further lookup; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(name: str) -> Sequence[Address]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


class SystemConnector:
    """Opens sockets; `ca_file` names a PEM file of certificates to trust besides the system's."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    async def connect(
        self, address: Address, port: int, tls_name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to this very address; see `Connector.connect`."""
        if tls_name is None:
            return await asyncio.open_connection(str(address), port, limit=_CHUNK)
        return await asyncio.open_connection(
            str(address), port, limit=_CHUNK, ssl=self._tls(), server_hostname=tls_name
        )

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = default_context(self._ca_file)
        return self._context
