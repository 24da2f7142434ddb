"""The endpoints of what is kept, and the chat route before them, on a real database and port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from meterway.auth.service import Authenticator
from meterway.db.engine import transaction
from meterway.edge.http import InFlight
from meterway.edge.openai import chat, conversations, stored
from meterway.edge.openai.responses import create
from meterway.edge.openai.responses import stored as responses
from meterway.edge.openai.responses.background import Acceptance
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform import completions
from meterway.edge.platform.envelope import Door
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from meterway.kit import sse
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.threads.types import Retention
from meterway.threads.writer import Writer
from tests.factories.platform import PEPPER, FakePace
from tests.factories.relays import Relay
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Answer, RunningServer, serving

LIMIT = 1 << 20


@dataclass
class Kept:
    """The running endpoints; `ann` and `bob` are keys of two users, `zero` one of Ann's as well."""

    engine: Any
    clock: FakeClock
    in_flight: InFlight
    routes: list[Route]
    server: RunningServer
    ann: str = ""
    bob: str = ""
    zero: str = ""

    async def ask(self, request: str, body: Any = None, key: str | None = "ann") -> Answer:
        """Send METHOD PATH with a JSON body as the one whose key is named; None as nobody."""
        token = getattr(self, key) if key in {"ann", "bob", "zero"} else key
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        if body is None:
            content = b""
        head = f"{request} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
        if token is not None:
            head += f"authorization: Bearer {token}\r\n"
        client = await self.server.connect()
        return await client.ask(f"{head}connection: close\r\n\r\n".encode() + content)

    async def events(
        self, request: str, body: Any = None, begun: asyncio.Event | None = None
    ) -> list[Any]:
        """Ask as Ann for a stream; return its events; `begun` is set once it answers."""
        client = await self.server.connect()
        content = b"" if body is None else msgspec.json.encode(body)
        head = f"{request} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
        head += f"authorization: Bearer {self.ann}\r\nconnection: close\r\n\r\n"
        await client.send(head.encode() + content)
        answer = await client.answer()
        assert answer.status == 200, answer.headers
        if begun is not None:
            begun.set()
        said = _unchunked(await client.closed())
        blocks = said.replace(sse.COMMENT, b"").split(b"\n\n")  # a fake clock is soon silent
        assert blocks.pop() == b""
        return [msgspec.json.decode(block.split(b"data: ", 1)[1]) for block in blocks]

    async def told(self, request: str, body: Any = None, key: str = "ann") -> Any:
        """Ask for something that must be there; return its JSON."""
        answer = await self.ask(request, body, key)
        assert answer.status == 200, answer.body
        return answer.json()


@asynccontextmanager
async def open_shelf(engine, relay: Relay | None = None, days: int = 30) -> AsyncIterator[Kept]:
    """Serve what is kept; with a `relay` chat and responses too."""
    clock = FakeClock()
    auth = Authenticator(engine, PEPPER, clock)
    door = Door(authenticator=auth, in_flight=InFlight(LIMIT), pace=FakePace())
    writer = Writer(engine)
    shelf = Shelf(
        door=door,
        engine=engine,
        writer=writer,
        clock=clock,
        retention=Retention(days),
        body_limit=LIMIT,
    )
    routes = [
        *conversations.routes(shelf),
        *stored.routes(shelf),
        *completions.routes(door, engine),
    ]
    tasks = Tasks()
    if relay is not None:
        desk = Desk(
            authenticator=auth,
            gate=relay.gate,
            in_flight=door.in_flight,
            tasks=tasks,
            body_limit=LIMIT,
        )
        routes.append(Route("POST", chat.PATH, chat.endpoint(desk, shelf=shelf)))
        routes += _responses(desk, shelf)
    async with serving(Server(routes, CallIds(0))) as server:
        kept = Kept(engine, clock, door.in_flight, routes, server)
        ann, bob = await new_user(engine, postpaid=True), await new_user(engine)
        kept.ann, kept.bob = await _key(engine, ann), await _key(engine, bob)
        kept.zero = await _key(engine, ann, zero_retention=True)
        yield kept
    await tasks.drain()
    await door.close()
    await writer.close()
    await auth.close()


def _responses(desk: Desk, shelf: Shelf) -> list[Route]:
    make = create.CreateResponse(desk, Turns(shelf), Acceptance(desk, shelf, lambda: None))
    return [Route("POST", create.PATH, make), *responses.routes(shelf)]


async def _key(engine, user_id: int, **facts: Any) -> str:
    async with transaction(engine) as tx:
        new = NewKey(user_id=user_id, **facts)
        return (await keys.create(tx, PEPPER, new, known=(), now=0))[1]


def _unchunked(body: bytes) -> bytes:
    """Return what a chunked body says."""
    said, rest = b"", body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return said
        said, rest = said + rest[:length], rest[length + 2 :]
