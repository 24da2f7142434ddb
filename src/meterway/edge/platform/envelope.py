"""An endpoint under `/api/`: admit, read the fields, do one thing, answer in the envelope.

A success is `{"statusCode": 200, "message": …, "data": …}`; errors are rendered by `edge.errors`
with `errorType` besides. The HTTP status equals `statusCode`.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.edge.credentials import caller_of
from meterway.edge.http import (
    JSON_TYPE,
    InFlight,
    Receive,
    Scope,
    Send,
    read_body,
    request_of,
    send_reply,
)
from meterway.edge.platform.forms import Fields, read_fields
from meterway.kit import json
from meterway.kit.errors import ForbiddenError
from meterway.kit.tasks import Tasks
from meterway.limits.types import Kind

_BODY_LIMIT = 1024 * 1024
T = TypeVar("T")


class NotAdminKeyError(ForbiddenError):
    """The endpoint is for administration, and the key is not an admin key."""

    code = "admin_key_required"

    def __init__(self) -> None:
        super().__init__("This needs an admin key, which only the console and operators make.")


class Pace(Protocol):
    """How often a user may ask for something: it knows how often for each of them."""

    async def keep(self, kind: Kind, user_id: int, /) -> None:
        """Count one more request of the user. Raises an error of status 429 where too many."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What admits a request to the platform's endpoints, and sees its work to the end."""

    authenticator: Authenticator
    in_flight: InFlight
    pace: Pace
    tasks: Tasks = msgspec.field(default_factory=Tasks)

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, to its end even where the request is cancelled meanwhile.

        Raises what `work` raises.
        """
        return await self.tasks.unbroken(work, name="platform.work")

    async def close(self) -> None:
        """Wait for the work under way; before the engine is disposed of."""
        await self.tasks.drain()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask an endpoint; `pace` names what is counted, where not everything is admitted."""

    admin: bool = False
    pace: Kind | None = None


ADMIN = Rule(admin=True)
ANY_KEY = Rule()
Act: TypeAlias = Callable[[Principal, Fields], Coroutine[Any, Any, Any]]


class Endpoint:
    """The ASGI handler of one POST endpoint: `act` returns what the envelope holds as `data`."""

    def __init__(self, door: Door, rule: Rule, act: Act) -> None:
        self._door = door
        self._rule = rule
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        caller = await admitted(scope, self._door, self._rule)
        body = await read_body(scope, receive, _BODY_LIMIT, self._door.in_flight)
        fields = read_fields(body, request_of(scope).text(b"content-type"))
        data = await self._door.unbroken(self._act(caller, fields))
        await answer(scope, send, data)


async def admitted(scope: Scope, door: Door, rule: Rule) -> Principal:
    """Return who calls. Raises what `caller_of` and `Pace` raise, and `NotAdminKeyError`."""
    caller = await caller_of(scope, door.authenticator)
    if rule.admin and not caller.is_admin:
        raise NotAdminKeyError
    if rule.pace is not None:
        await door.pace.keep(rule.pace, caller.user_id)
    return caller


async def answer(scope: Scope, send: Send, data: Any) -> None:
    """Send `data` in the envelope of a success."""
    body = json.encode({"statusCode": 200, "message": "OK", "data": data})
    headers = [*request_of(scope).head, JSON_TYPE, (b"cache-control", b"no-store")]
    await send_reply(send, 200, headers, body)
