"""`/metrics`: the machine's figures, for this machine, the metrics token, or an admin key."""

import hmac
import ipaddress

from meterway.auth.service import Authenticator
from meterway.edge.credentials import caller_of, token_of
from meterway.edge.http import Receive, Scope, Send, request_of, send_reply
from meterway.kit import metrics
from meterway.kit.errors import ForbiddenError

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_RELAYED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via", b"origin"})


class MetricsForbiddenError(ForbiddenError):
    """The caller may not read the figures."""

    def __init__(self) -> None:
        super().__init__("The metrics need the metrics token or an admin key.")


class Metrics:
    """Serves the figures.

    Without a `token` set, a caller on this machine needs no credential, unless the request looks
    relayed: forwarded by a proxy, or made by a page in a browser (an origin, or a host name that
    is not this machine's, which is how a rebound name shows).
    """

    def __init__(self, authenticator: Authenticator, token: str | None) -> None:
        self._authenticator = authenticator
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scrape."""
        del receive
        await self._admit(scope)
        headers = [*request_of(scope).head, (b"content-type", metrics.CONTENT_TYPE)]
        await send_reply(send, 200, headers, metrics.exposition())

    async def _admit(self, scope: Scope) -> None:
        given = token_of(scope["headers"], scope["query_string"])
        if given is None and self._token is None and _is_local(scope):
            return
        if given and self._token and hmac.compare_digest(given.encode(), self._token):
            return
        caller = await caller_of(scope, self._authenticator)
        if not caller.is_admin:
            raise MetricsForbiddenError


def _is_local(scope: Scope) -> bool:
    headers = request_of(scope).headers
    if not _RELAYED.isdisjoint(headers):
        return False
    host = headers.get(b"host", b"").decode("latin-1")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    client = scope.get("client")
    near = client is not None and ipaddress.ip_address(client[0]).is_loopback
    return near and name in _LOCAL_NAMES
