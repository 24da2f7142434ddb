"""One tiny real call along each credential of a channel, as `meterway channel test` makes it."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from meterway.catalog.service import Catalog
from meterway.kit.clock import Clock
from meterway.kit.errors import MeterwayError, NotFoundError
from meterway.kit.json import decode_top
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.dialects import Dialect
from meterway.upstreams import encode, failures, listing
from meterway.upstreams.transport import Outgoing, Transport
from meterway.upstreams.types import Channel, Credential, Route

_BODY = (
    b'{"model":"m","messages":[{"role":"user","content":"Say test"}],"max_completion_tokens":16}'
)
_REPLY_LIMIT = 16 * 1024 * 1024
_OK = range(200, 300)


class Outcome(msgspec.Struct, frozen=True):
    """What became of one call; `error` is None where it was answered."""

    credential: str | None
    model: str | None
    ok: bool
    seconds: float
    error: str | None = None


class NoModelError(NotFoundError):
    """Nothing says which model to call."""

    code = "no_model"


async def outcomes(
    channel: Channel, transport: Transport, clock: Clock, model: str | None
) -> AsyncIterator[Outcome]:
    """Call along each credential, or once where the channel needs none."""
    credentials: Sequence[Credential | None] = channel.credentials or (None,)
    for credential in credentials:
        began = clock.monotonic()
        name = None if credential is None else credential.id
        used: str | None = model
        try:
            used = model or await _chosen(channel, credential, transport, clock)
            await _call(_route(channel, credential, used), transport, clock)
        except MeterwayError as error:
            yield Outcome(name, used, ok=False, seconds=_since(began, clock), error=error.message)
        else:
            yield Outcome(name, used, ok=True, seconds=_since(began, clock))


def _since(began: float, clock: Clock) -> float:
    return round(clock.monotonic() - began, 3)


def _route(channel: Channel, credential: Credential | None, model: str) -> Route:
    dialect = next(iter(channel.provider.speaks))  # the row names the usual one first
    return Route(channel=channel, credential=credential, model=model, dialect=dialect)


async def _chosen(
    channel: Channel, credential: Credential | None, transport: Transport, clock: Clock
) -> str:
    """Return the first model the channel names, else the first known one the upstream lists."""
    if channel.models:
        return next(iter(channel.models.values()))
    catalog = Catalog()
    for name in await listed(channel, credential, transport, clock) or ():
        if channel.provider.local or catalog.find(name) is not None:
            return name
    raise NoModelError("The upstream lists no model that is known here; name one with --model.")


async def listed(
    channel: Channel, credential: Credential | None, transport: Transport, clock: Clock
) -> tuple[str, ...] | None:
    """Return the models the upstream lists, None where it lists none in a known form.

    Raises a `TransportError` or an `UpstreamError`.
    """
    route = _route(channel, credential, "")
    request = encode.listing(route)
    if request is None:
        return None
    return listing.names(await _answer(request, route.dialect, transport, clock))


async def _call(route: Route, transport: Transport, clock: Clock) -> None:
    codec = CODECS[route.dialect]
    request = CODECS[Dialect.OPENAI_CHAT].decode_request(decode_top(_BODY))
    body = codec.encode_request(request, route.model).body
    sent = encode.outgoing(route, body, {}, stream=False)
    reply = codec.decode_reply(await _answer(sent, route.dialect, transport, clock))
    if isinstance(reply, neutral.Failed):
        raise failures.upstream_error(502, {}, reply, clock.now())


async def _answer(request: Outgoing, dialect: Dialect, transport: Transport, clock: Clock) -> bytes:
    """Return the body of a 2xx answer. Raises an `UpstreamError` for any other."""
    response = await transport.send(request)
    body = await response.read(_REPLY_LIMIT)
    if response.status in _OK:
        return body
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    failed = CODECS[dialect].decode_error(response.status, headers, body)
    raise failures.upstream_error(response.status, headers, failed, clock.now())
