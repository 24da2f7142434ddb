"""Whether what is said about a channel can be used; every refusal says what would do."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from meterway.routing.errors import BadChannelError
from meterway.routing.types import NewChannel
from meterway.upstreams.types import AuthForm, Provider

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, section 5.6.2
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_TIMEOUTS = frozenset({"connect", "first_byte", "idle"})


def provider_of(new: NewChannel, providers: Mapping[str, Provider]) -> Provider:
    """Return the row a channel names. Raises `BadChannelError` listing the known ones."""
    provider = providers.get(new.provider)
    if provider is None:
        raise BadChannelError(
            f"There is no provider '{new.provider}'. Known: {', '.join(sorted(providers))}."
        )
    return provider


def base_url_of(new: NewChannel, provider: Provider) -> str:
    """Return the address a channel is reached at. Raises `BadChannelError`."""
    url = new.base_url or provider.base_url
    if url is None:
        raise BadChannelError(f"Provider '{provider.name}' needs a base URL; give --base-url.")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise BadChannelError("A base URL looks like https://api.example.com/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadChannelError(
            "A base URL has no user, password, query or fragment; credentials go into the key."
        )
    return url.rstrip("/")


def check(new: NewChannel, provider: Provider) -> None:
    """Raise `BadChannelError` where a fact of the channel cannot be used."""
    if not _NAME.fullmatch(new.name):
        raise BadChannelError("A channel's name has up to 64 letters, digits, dots and dashes.")
    if not new.secrets and not provider.local and provider.auth is not AuthForm.NONE:
        raise BadChannelError(f"Provider '{provider.name}' needs a key; give --api-key.")
    for secret in new.secrets:
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise BadChannelError("A key is one word of printable ASCII characters.")
    if new.weight < 1:
        raise BadChannelError("A weight is at least 1; disable a channel to send it nothing.")
    if new.prefix is not None and not _NAME.fullmatch(new.prefix):
        raise BadChannelError("A prefix has letters, digits, dots and dashes, and no slash.")
    if not all(name and upstream for name, upstream in new.models.items()):
        raise BadChannelError("A model has a name, here and upstream: OURS=THEIRS.")
    _check_headers(new.headers)
    for limit, seconds in new.timeouts.items():
        if limit not in _TIMEOUTS or seconds <= 0:
            raise BadChannelError("A timeout is connect, first_byte or idle, above 0 seconds.")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise BadChannelError(f"'{name}' cannot be a header of a channel.")
        if not value.isascii() or not value.isprintable():
            raise BadChannelError(f"The value of header '{name}' must be printable ASCII.")
