"""The head of a request: which headers may be sent, and the bytes of an HTTP/1.1 head.

Follows RFC 9110 section 5 (names and values) and RFC 9112 sections 3 and 6 (request line, framing).
"""

import re

from meterway.upstreams.transport import Headers, Url

HEAD_LIMIT = 64 * 1024  # bytes of an answer's head
HEADERS_LIMIT = 128

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_TARGET = re.compile(r"[\x21-\x22\x24-\x7e]+")
_UNSAFE_VALUE = re.compile(rb"[\x00\r\n]")
_OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_METHODS = {
    name: name.encode() for name in ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_KNOWN_NAMES_LIMIT = 1024
_known_names: set[bytes] = set()


def check_headers(headers: Headers) -> None:
    """Refuse headers that would change the framing of the request or inject another one.

    Raises `ValueError` for a name that is no lower-case token or that the transport itself
    sets, and for a value with CR, LF or NUL. The error never holds the value.
    """
    for name, value in headers:
        if name not in _known_names:
            _learn_name(name)
        if _UNSAFE_VALUE.search(value):
            raise ValueError(f"The value of header {name!r} holds CR, LF or NUL.")


def _learn_name(name: bytes) -> None:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a lower-case header name.")
    if name in _OURS:
        raise ValueError(f"Header {name!r} is set by the transport alone.")
    if len(_known_names) < _KNOWN_NAMES_LIMIT:
        _known_names.add(name)


def check_method(method: str) -> bytes:
    """Return the bytes of `method`. Raises `ValueError` for one we never send."""
    try:
        return _METHODS[method]
    except KeyError:
        raise ValueError(f"{method!r} is not a method the transport sends.") from None


def authority(url: Url) -> str:
    """Return what the host header says: the host, and the port where it is not the default."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    usual = 443 if url.scheme == "https" else 80
    return host if url.port == usual else f"{host}:{url.port}"


def line_end(url: Url) -> bytes:
    """Return the bytes of a head between method and first header.

    Raises `ValueError` where target or host would break the request line.
    """
    if not _TARGET.fullmatch(url.target):
        raise ValueError("The target of an upstream address must be printable ASCII.")
    host = authority(url)
    try:
        name = host.encode("ascii")
    except UnicodeEncodeError:
        name = host.encode("idna")
    if _UNSAFE_VALUE.search(name) or b" " in name:
        raise ValueError("The host of an upstream address holds a forbidden character.")
    return b" %b HTTP/1.1\r\nhost: %b\r\n" % (url.target.encode(), name)


def fixed_head(method: str, url: Url, headers: Headers) -> bytes:
    r"""Return what the heads of all such requests begin with: everything but the length.

    An uncompressed answer is asked for, unless `headers` say otherwise. Raises `ValueError`
    for what would not be one well-formed HTTP/1.1 head.
    """
    check_headers(headers)
    fields = [name + b": " + value + b"\r\n" for name, value in headers]
    if not any(name == b"accept-encoding" for name, _ in headers):
        fields.append(b"accept-encoding: identity\r\n")
    return b"".join([check_method(method), line_end(url), *fields])


def length_field(method: str, length: int) -> bytes:
    r"""Return the end of a head: the body's length where one is due, and the blank line."""
    if length or method not in _WITHOUT_LENGTH:
        return b"content-length: %d\r\n\r\n" % length
    return b"\r\n"
