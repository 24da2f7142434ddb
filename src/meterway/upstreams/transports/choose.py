"""Which transport carries a request: our own pool, or reqwest where a proxy stands between."""

import asyncio
import ipaddress

from meterway.kit.tls import default_context
from meterway.upstreams.transport import Outgoing, Response, Transport, Url
from meterway.upstreams.transports.native import NativeTransport


def open_transport(
    *, proxy: str | None = None, no_proxy: str = "", ca_file: str | None = None
) -> Transport:
    """Return the transport of a process.

    `proxy` is an http(s) or socks5 URL as in `HTTPS_PROXY`, empty or None for none; `no_proxy`
    a list as in `NO_PROXY` (see `Exceptions`). `ca_file` names a PEM file of certificates to
    trust, for upstreams behind an authority of one's own. Certificates are always verified.
    """
    tls = default_context(ca_file) if ca_file else None
    native = NativeTransport(tls=tls)
    if not proxy:
        return native
    from meterway.upstreams.transports.reqwest import (  # noqa: PLC0415 - 10 MB few processes need
        ReqwestTransport,
    )

    return ProxiedTransport(
        native, ReqwestTransport(proxy=proxy, ca_file=ca_file), Exceptions(no_proxy)
    )


class Exceptions:
    """The hosts that are reached without the proxy.

    Entries are separated by commas: a name stands for itself and its subdomains (with or
    without a leading dot), an address for itself, a network (`10.0.0.0/8`) for its addresses,
    `host:port` for that port alone, `*` for everything. `localhost` and loopback addresses are
    never proxied.
    """

    def __init__(self, text: str) -> None:
        entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
        self._everything = "*" in entries
        self._networks = [network for entry in entries if (network := _network(entry))]
        self._names = [
            _name_and_port(entry.removeprefix("*").removeprefix("."))
            for entry in entries
            if entry != "*" and not _network(entry)
        ]

    def cover(self, url: Url) -> bool:
        """Tell whether `url` is reached without the proxy."""
        host = url.host.lower().rstrip(".")
        address = _address(host)
        if self._everything or host == "localhost" or (address and address.is_loopback):
            return True
        if address and any(address in network for network in self._networks):
            return True
        return any(
            (host == name or host.endswith(f".{name}")) and port in {None, url.port}
            for name, port in self._names
        )


class ProxiedTransport:
    """Sends through the proxy, except to the hosts that are reached directly."""

    def __init__(self, direct: Transport, proxied: Transport, exceptions: Exceptions) -> None:
        self._direct = direct
        self._proxied = proxied
        self._exceptions = exceptions

    async def send(self, request: Outgoing) -> Response:
        """Send `request` the way its host asks for; see `Transport.send`."""
        direct = self._exceptions.cover(request.url)
        return await (self._direct if direct else self._proxied).send(request)

    async def close(self) -> None:
        """Close every connection of both."""
        await asyncio.gather(self._direct.close(), self._proxied.close())


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _name_and_port(entry: str) -> tuple[str, int | None]:
    name, _, port = entry.rpartition(":")
    return (name.strip("[]"), int(port)) if name and port.isdecimal() else (entry, None)
