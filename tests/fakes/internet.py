"""An internet of one machine: names answer as scripted, and all roads lead to one local server."""

import asyncio
import ipaddress
from collections.abc import Sequence

from meterway.kit.fetching.dialing import Connector, SystemConnector
from meterway.kit.fetching.hosts import Address

PUBLIC = "93.184.215.14"
LOOPBACK = ipaddress.ip_address("127.0.0.1")


class ScriptedResolver:
    """Knows the names of `names`; each has one answer, or several for one question after another.

    An answer is addresses separated by spaces; the last is repeated. `asked` keeps the questions.
    """

    def __init__(self, names: dict[str, str | list[str]]) -> None:
        self._names = {
            name: [answers] if isinstance(answers, str) else list(answers)
            for name, answers in names.items()
        }
        self.asked: list[str] = []
        self.closed = False

    async def resolve(self, name: str) -> Sequence[Address]:
        self.asked.append(name)
        answers = self._names.get(name)
        if answers is None:
            raise OSError("unknown name")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(text) for text in answer.split()]

    def close(self) -> None:
        self.closed = True


class Detour:
    """Connects to the local `port` whatever is asked for, and keeps what was, in `asked`.

    Addresses in `dead` refuse. `connector` opens the connections.
    """

    def __init__(
        self, port: int, connector: Connector | None = None, *, dead: Sequence[str] = ()
    ) -> None:
        self._port = port
        self._connector = connector or SystemConnector()
        self._dead = dead
        self.asked: list[tuple[str, int, str | None]] = []

    async def connect(
        self, address: Address, port: int, tls_name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.asked.append((str(address), port, tls_name))
        if str(address) in self._dead:
            raise ConnectionRefusedError
        return await self._connector.connect(LOOPBACK, self._port, tls_name)


class CountingRoom:
    """A room of `limit` bytes."""

    def __init__(self, limit: int = 2**62) -> None:
        self.limit = limit
        self.held = 0
        self.most = 0

    def take(self, size: int) -> None:
        if self.held + size > self.limit:
            raise MemoryError
        self.held += size
        self.most = max(self.most, self.held)

    def give(self, size: int) -> None:
        self.held -= size
