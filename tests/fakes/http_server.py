"""A real HTTP server around an ASGI callable, on a free port of this machine, within one loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import uvicorn
from uvicorn.server import ServerState

from meterway.edge.bounds import BoundedProtocol
from meterway.edge.limits import Limits

DEADLINE = 5.0


@dataclass
class Answer:
    """A parsed answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return msgspec.json.decode(self.body)


@dataclass
class Client:
    """One connection, spoken to in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), DEADLINE)

    async def answer(self, *, head_only: bool = False) -> Answer:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        status, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = 0 if head_only else int(headers.get("content-length", 0))
        body = await asyncio.wait_for(self.reader.readexactly(length), DEADLINE)
        return Answer(int(status.split()[1]), headers, body)

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer(head_only=data.startswith(b"HEAD"))

    async def closed(self) -> bytes:
        """Wait until the server closes and return what it said before."""
        try:
            return await asyncio.wait_for(self.reader.read(), DEADLINE)
        except ConnectionError:
            return b""

    def leave(self) -> None:
        self.writer.transport.abort()


@dataclass
class RunningServer:
    """Where it listens, and its connections."""

    port: int
    state: ServerState
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def emptied(self) -> None:
        """Wait until no connection is open."""
        while self.state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(app, limits: Limits | None = None) -> AsyncIterator[RunningServer]:
    """Serve `app` by the bounded protocol; at the end every connection is cut."""
    protocol_class = BoundedProtocol.with_limits(limits or Limits())
    config = uvicorn.Config(
        app,
        http=protocol_class,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        return protocol_class(config, state, {})

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    running = RunningServer(server.sockets[0].getsockname()[1], state)
    try:
        yield running
    finally:
        server.close()
        for client in running.clients:
            client.leave()
        for task in set(state.tasks):
            task.cancel()
        async with asyncio.timeout(DEADLINE):
            await running.emptied()
            await server.wait_closed()
