"""Finding the API key in a request, in every form that clients use.

Where a request carries several, the first of this order that holds anything is the one used:
`Authorization: Bearer KEY`, `Authorization: KEY` (bare), `x-api-key`, `api-key`,
`x-goog-api-key`, and on Google-shaped routes `?key=KEY`. Other `Authorization` schemes, such as
a proxy's Basic, are passed over.
"""

from collections.abc import Sequence
from urllib.parse import unquote_plus

from meterway.auth.errors import MissingKeyError
from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.edge.http import Scope

_KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")
_BEARER = "bearer"
_HOW = (
    "No API key came with this request. Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`."
)


def token_of(
    headers: Sequence[tuple[bytes, bytes]], query: bytes, *, google: bool = False
) -> str | None:
    """Return the key of a request, or None. Names of `headers` are lower-case."""
    others: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"authorization":
            text = value.decode("latin-1")
            # The form nearly all clients send is told from the rest without taking it apart.
            token = text[7:].strip() if text[:7] == "Bearer " else _from_authorization(text)
            if token:
                return token
        elif name in _KEY_HEADERS and name not in others:
            others[name] = value.strip()
    for name in _KEY_HEADERS:
        if others.get(name):
            return others[name].decode("latin-1")
    return _from_query(query) if google and query else None


def _from_authorization(value: str) -> str | None:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == _BEARER:
        return rest.strip() or None
    return None if rest else scheme


def _from_query(query: bytes) -> str | None:
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name == "key" and value:
            return unquote_plus(value)
    return None


async def caller_of(
    scope: Scope, authenticator: Authenticator, *, google: bool = False
) -> Principal:
    """Return who calls. Raises `MissingKeyError` and what `Authenticator.principal` raises."""
    token = token_of(scope["headers"], scope["query_string"], google=google)
    if token is None:
        raise MissingKeyError(_HOW)
    return authenticator.known(token) or await authenticator.principal(token)
