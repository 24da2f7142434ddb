"""A URL to fetch, read strictly: what two readers could take for different hosts is refused.

Follows RFC 3986; of the spellings of IPv4 addresses that the URL standard of browsers allows
(https://url.spec.whatwg.org/#host-parsing), only four plain decimal numbers are taken.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import msgspec

from meterway.kit.fetching.errors import FetchError
from meterway.kit.fetching.hosts import Address

PORTS: Final = {"http": 80, "https": 443}
_LONGEST = 8192
_HOST_LENGTH = 253
# A parser may skip or turn round any of these, and another may not.
_TREACHEROUS = re.compile(r"[\x00-\x20\x7f\\]")
_PLACE = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@]+))(?::(?P<port>[0-9]{0,5}))?"
)
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a last label: the host is meant as an address
_SAFE = "%/?:@!$&'()*+,;=[]~|"


class Target(msgspec.Struct, frozen=True):
    """Where to fetch from: `host` is an ASCII name or an address, `path` path and query."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Read an absolute http(s) URL. Raises `FetchError`, which does not repeat it."""
        if len(url) > _LONGEST or _TREACHEROUS.search(url):
            raise _unreadable()
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _unreadable() from None
        if parts.scheme not in PORTS:
            raise FetchError("Only http:// and https:// URLs are fetched.")
        if "@" in parts.netloc:
            raise FetchError("The URL holds a user name or password, and none may be sent.")
        place = _PLACE.fullmatch(parts.netloc)
        if place is None:
            raise _unreadable()
        port = int(place["port"] or PORTS[parts.scheme])
        host = _ipv6(place["ipv6"]) if place["ipv6"] else _host(place["name"])
        return cls(parts.scheme, host, port, _path(parts))

    @property
    def address(self) -> Address | None:
        """The address where the host is one, else None."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """What the host header says: the host, and the port where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: bytes) -> "Target":
        """Return where a redirect to `location` leads. Raises `FetchError`."""
        try:
            there = location.decode()
            if _TREACHEROUS.search(there):
                raise _unreadable()
            there = urljoin(f"{self.scheme}://{self.authority}{self.path}", there)
        except ValueError:
            raise _unreadable() from None
        target = Target.parse(there)
        if self.scheme == "https" and target.scheme == "http":
            raise FetchError("The URL redirects from https to http, which is not followed.")
        return target


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise _unreadable() from None


def _host(text: str) -> str:
    """Return the host in its one spelling: lower case, in ASCII, without a last dot."""
    if len(text) > _HOST_LENGTH:
        raise _unreadable()
    try:
        name = text.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise _unreadable() from None
    if len(name) > _HOST_LENGTH or not _NAME.fullmatch(name):
        raise _unreadable()
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise _unreadable() from None
    return name


def _path(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_SAFE)
    return f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path


def _unreadable() -> FetchError:
    return FetchError("The URL cannot be read. Check how its host and port are written.")
