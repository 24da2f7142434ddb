"""From a route and an encoded body to the request that goes on the wire."""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit

import msgspec

import meterway
from meterway.kit.json import decode_top
from meterway.kit.json import encode as encode_json
from meterway.protocols.chat.codec import Encoded
from meterway.protocols.dialects import FAMILIES, Dialect, Family
from meterway.upstreams.transport import Outgoing, Url
from meterway.upstreams.types import AuthForm, Channel, Credential, Provider, Route

ANTHROPIC_VERSION = "2023-06-01"
_USER_AGENT = f"meterway/{meterway.__version__}".encode()
_PER_CALL = ("anthropic-version", "anthropic-beta")
_PREPARED = 4096
_MODEL, _MODELS = "{model}", "models/"  # where a path names the model; what a name may begin with
_COMPATIBLE = "openai"
_VERSIONS = frozenset({"v1", "v1beta"})

Pairs = tuple[tuple[bytes, bytes], ...]
Prepared = tuple[Url, Pairs, Mapping[str, str]]  # and the versions the operator asks for

_known: dict[tuple[int, int, str, Dialect, bool], tuple[Channel, Credential | None, Prepared]] = {}


def outgoing(route: Route, body: bytes, headers: Mapping[str, str], *, stream: bool) -> Outgoing:
    """Return the request that makes one attempt over `route`.

    `headers` are those of the call that its dialect lets travel on (`anthropic-version`,
    `anthropic-beta`); fields the provider refuses are left out of `body` and named in `dropped`,
    fields it calls otherwise are renamed.
    """
    provider, dialect = route.channel.provider, route.dialect
    path = provider.speaks[dialect]
    if stream:
        path = provider.streams.get(dialect, path)
    is_openais = FAMILIES[dialect] is Family.OPENAI
    encoded = adapted(provider, body) if is_openais else Encoded(body)
    request = _request(route, path, encoded.body, headers, stream=stream)
    return msgspec.structs.replace(request, dropped=encoded.dropped) if encoded.dropped else request


def counting(route: Route, body: bytes, headers: Mapping[str, str]) -> Outgoing | None:
    """Return the request that asks the provider's own token counter, None where it has none."""
    path = route.channel.provider.counts.get(route.dialect)
    return _request(route, path, body, headers, stream=False) if path else None


def listing(route: Route) -> Outgoing | None:
    """Return the request that lists the provider's models, None where it cannot."""
    path = route.channel.provider.models_path
    return _request(route, path, b"", {}, stream=False, method="GET") if path else None


def adapted(provider: Provider, body: bytes) -> Encoded:
    """Leave out of `body` what the provider refuses and rename what it calls otherwise.

    `dropped` names the fields left out. A body already in the provider's words is not copied.
    """
    if not provider.drops and not provider.renames:
        return Encoded(body)
    fields = decode_top(body)
    dropped = tuple(name for name in fields if name in provider.drops)
    renamed = [name for name in fields if name in provider.renames]
    if not dropped and not renamed:
        return Encoded(body)
    for name in dropped:
        del fields[name]
    for name in renamed:
        fields.setdefault(provider.renames[name], fields.pop(name))
    return Encoded(encode_json(fields), dropped)


def _request(  # noqa: PLR0913 - the parts of a request
    route: Route,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    stream: bool,
    method: str = "POST",
) -> Outgoing:
    channel = route.channel
    if _MODEL in path:
        path = path.replace(_MODEL, quote(route.model.removeprefix(_MODELS), safe=""))
    url, fixed, own = _in_common(channel, route.credential, path, route.dialect, stream)
    if route.dialect is Dialect.ANTHROPIC_MESSAGES:
        fixed += _versions(headers, own)
    return Outgoing(url=url, headers=fixed, body=body, method=method, timeouts=channel.timeouts)


def _in_common(
    channel: Channel,
    credential: Credential | None,
    path: str,
    dialect: Dialect,
    stream: bool,  # noqa: FBT001 - positional, on the hot path
) -> Prepared:
    """Return what all of a channel's requests to `path` share.

    Channels live long and do not change: they are known again by identity, which costs less than
    hashing their facts for each request.
    """
    key = (id(channel), id(credential), path, dialect, stream)
    known = _known.get(key)
    if known is not None:
        return known[2]
    provider = channel.provider
    prepared = _prepared(
        channel.base_url,
        path,
        provider.auths.get(dialect, provider.auth).value,
        credential.secret if credential else "",
        (*provider.headers.items(), *channel.headers.items()),
        stream,
    )
    if len(_known) >= _PREPARED:
        _known.clear()
    _known[key] = (channel, credential, prepared)  # kept alive, so no other takes their identity
    return prepared


def _versions(headers: Mapping[str, str], own: Mapping[str, str]) -> Pairs:
    """Version and betas: the call's, else the operator's, else the stable version and no beta.

    The betas of both are sent. https://platform.claude.com/docs/en/api/versioning
    """
    version = headers.get("anthropic-version") or own.get("anthropic-version", ANTHROPIC_VERSION)
    pair = (b"anthropic-version", version.encode("latin-1"))
    betas = [held["anthropic-beta"] for held in (own, headers) if "anthropic-beta" in held]
    return (pair, (b"anthropic-beta", ",".join(betas).encode("latin-1"))) if betas else (pair,)


@lru_cache(maxsize=_PREPARED)
def _prepared(  # noqa: PLR0913, PLR0917 - the cache key: all a channel's requests have in common
    base_url: str,
    path: str,
    auth: str,
    secret: str,
    extra: tuple[tuple[str, str], ...],
    stream: bool,  # noqa: FBT001 - positional for a cheap cache key
) -> Prepared:
    given = {name.lower(): value for name, value in extra}
    own = {name: given.pop(name) for name in _PER_CALL if name in given}
    headers: dict[str, bytes] = {
        "content-type": b"application/json",
        "accept": b"text/event-stream" if stream else b"application/json",
        "accept-encoding": b"identity",
        "user-agent": _USER_AGENT,
    }
    if secret:
        headers.update(_authorization(AuthForm(auth), secret))
    headers.update((name, value.encode("latin-1")) for name, value in given.items())
    pairs = tuple((name.encode("latin-1"), value) for name, value in headers.items())
    return Url.parse(joined(base_url, path)), pairs, own


def _authorization(auth: AuthForm, secret: str) -> dict[str, bytes]:
    value = secret.strip().encode("latin-1")  # a key read from a file ends with a newline
    match auth:
        case AuthForm.BEARER:
            return {"authorization": b"Bearer " + value}
        case AuthForm.X_API_KEY | AuthForm.API_KEY | AuthForm.X_GOOG_API_KEY:
            return {auth.value: value}
        case AuthForm.NONE:
            return {}


def joined(base_url: str, path: str) -> str:
    """Append `path` to a base URL without saying twice what both have.

    Operators write bases with and without `/v1`: `https://x/v1` + `/v1/messages` is
    `https://x/v1/messages`, and `https://x/v1` + `/anthropic/v1/messages` leaves the first out.
    A base that is a vendor's compatible face (`https://x/v1beta/openai`) leads to the native one
    beside it as well. The base's query (such as `api-version=…`) goes to the end.
    """
    parts = urlsplit(base_url)
    path, _, query = path.partition("?")
    base = [segment for segment in parts.path.split("/") if segment]
    tail = path.strip("/").split("/")
    if base[-2:] == [tail[0], _COMPATIBLE] != tail[:2]:
        base.pop()
    shared = next(
        (size for size in range(min(len(base), len(tail)), 0, -1) if base[-size:] == tail[:size]),
        0,
    )
    if not shared and base[-1:] == ["v1"] and not _VERSIONS.isdisjoint(tail):
        base.pop()
    whole = "/".join(["", *base, *tail[shared:]])
    asked = "&".join(filter(None, (query, parts.query)))
    return parts._replace(path=whole, query=asked, fragment="").geturl()
