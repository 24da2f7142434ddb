"""Which addresses may be fetched from: public ones, and those an operator lists.

Follows the registries of special-purpose addresses
(https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry).
"""

import ipaddress
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

USUAL_PORTS: Final = frozenset({80, 443})

_NOT_PUBLIC_4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers; a cloud's metadata is here too
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own services, at a public address
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")  # all that is assigned for use by anybody
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address of anybody's choice
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are IPv4
_LAST_32_BITS: Final = 0xFFFFFFFF


def plain(address: Address) -> Address:
    """Return the IPv4 address where `address` is one in IPv6's clothes, `::ffff:a.b.c.d`."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: Address) -> bool:
    """Tell whether `address` is one that anybody on the internet can reach.

    An address that carries another is judged by that one.
    """
    address = plain(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & _LAST_32_BITS))
    return address in _GLOBAL_6 and not any(address in network for network in _NOT_PUBLIC_6)


class PrivateHosts:
    """The hosts an operator lets be fetched from although they are not public.

    `text` lists names, addresses and networks (`10.0.0.0/8`), separated by commas. A name stands
    for itself alone, wherever it leads. Each is reached at the usual ports; `host:port` (an IPv6
    address in brackets) adds another. Raises `ValueError` for an entry that is none of these.
    """

    def __init__(self, text: str = "") -> None:
        self._names: set[tuple[str, int | None]] = set()
        self._networks: set[tuple[Network, int | None]] = set()
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            self._add(entry)
        ports = {port for _, port in (*self._names, *self._networks) if port is not None}
        self.ports = USUAL_PORTS | ports

    def _add(self, entry: str) -> None:
        host, port = _host_and_port(entry)
        try:
            self._networks.add((ipaddress.ip_network(host), port))
        except ValueError:
            if not host or set(host) & set("/*[]:@ "):
                message = "an entry is not a host, an address or a network"
                raise ValueError(message) from None
            self._names.add((host.rstrip("."), port))

    def cover(self, name: str, address: Address, port: int) -> bool:
        """Tell whether `address` may be fetched from when `name` led there."""
        address = plain(address)
        listed: tuple[int | None, ...] = (port, None) if port in USUAL_PORTS else (port,)
        return any((name, one) in self._names for one in listed) or any(
            one in listed and address in network for network, one in self._networks
        )


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port`; an IPv6 address without brackets has no port."""
    host, colon, port = entry.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.endswith("]")):
        return _bare(entry), None
    if not 0 < int(port) < 2**16:
        message = "an entry has a port that does not exist"
        raise ValueError(message)
    return _bare(host), int(port)


def _bare(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
