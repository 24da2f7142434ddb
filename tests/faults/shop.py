"""A gateway that sells, its customers, and what its books say afterwards."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from meterway.bench import processes
from tests.factories.gateways import Gateway, wait_for

MODEL, SLOW = "sandbox/echo", "sandbox/slow"
_PRICES = ("--input", "3", "--output", "15")
_DEADLINE = 30.0


@dataclass
class Sold:
    """What one customer's calls came to: ids of replies whose last byte arrived, and of others."""

    ended: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    refused: int = 0


class Shop:
    """A gateway with priced models and one prepaid customer who owns `dollars`."""

    def __init__(self, gateway: Gateway, dollars: str) -> None:
        self.gateway = gateway
        for model in (MODEL, SLOW):
            gateway.run("price", "set", model, *_PRICES)
        gateway.run("user", "create", "--email", "buyer@example.org", "--password", "long enough")
        gateway.run("user", "grant", "buyer@example.org", dollars)
        self.key: str = gateway.run("key", "create", "--user", "buyer@example.org")["key"]

    # -- selling -------------------------------------------------------------------------------

    async def call(self, sold: Sold, *, stream: bool, model: str = MODEL) -> int | None:
        """Make one call; note in `sold` how far it came; return its status, None where cut."""
        host, _, port = self.gateway.base.removeprefix("http://").partition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return None
        try:
            writer.write(self._request(stream=stream, model=model))
            async with asyncio.timeout(_DEADLINE):
                return await _read(reader, sold)
        except (OSError, EOFError):
            return None
        finally:
            writer.transport.abort()

    def _request(self, *, stream: bool, model: str) -> bytes:
        ask = {"model": model, "max_tokens": 64, "stream": stream}
        body = json.dumps(ask | {"messages": [{"role": "user", "content": "Say it again"}]})
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
        ).encode()

    @contextlib.asynccontextmanager
    async def crowd(self, number: int) -> AsyncIterator[list[Sold]]:
        """Let `number` customers call again and again while the block runs."""
        sold = [Sold() for _ in range(number)]

        async def shopping(own: Sold, seed: int) -> None:
            chance = random.Random(seed)
            while True:
                await self.call(own, stream=chance.random() < 0.5)

        tasks = [asyncio.create_task(shopping(own, seed)) for seed, own in enumerate(sold)]
        try:
            yield sold
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- its processes -------------------------------------------------------------------------

    def pids(self, title: str) -> list[int]:
        """Return the gateway's processes of a role, such as `worker`."""
        parent = self.gateway.pid
        assert parent is not None
        wanted = f"meterway {title}"
        family = [pid for pid in processes.descendants(parent) if pid != parent]
        return [pid for pid in family if processes.command_line(pid).startswith(wanted)]

    def kill(self, title: str, chance: random.Random) -> None:
        """Kill one process of a role, as the kernel's out-of-memory killer would."""
        victims = wait_for(lambda: self.pids(title), f"a {title}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)

    def stop_posting(self) -> None:
        """Stop the backstage process where it stands, so that journals are left as they are."""
        (backstage,) = wait_for(lambda: self.pids("backstage"), "the backstage process")
        os.kill(backstage, signal.SIGSTOP)

    def crash(self) -> None:
        """Kill everything at once."""
        parent = self.gateway.pid
        assert parent is not None
        family = [pid for pid in processes.descendants(parent) if pid != parent]
        self.gateway.crash()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def tear_last_record(self) -> None:
        """Cut the last byte off the last record of the one journal that holds any."""
        (journal,) = [
            folder for folder in self.gateway.journals.iterdir() if (folder / "lock").exists()
        ]
        segment = min(journal.glob("*.segment"))
        written = segment.read_bytes()
        end = len(written.rstrip(b"\0"))
        segment.write_bytes(written[: end - 1] + bytes(len(written) - end + 1))

    # -- its books -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _books(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.gateway.data / "meterway.db")) as books:
            yield books

    def charged(self) -> dict[int, int]:
        """Return the price of every call charged, by call id."""
        with self._books() as books:
            return dict(books.execute("SELECT call_id, price FROM charges"))

    def leased(self) -> int:
        """Return what workers hold."""
        with self._books() as books:
            held = "SELECT coalesce(sum(remaining), 0) FROM leases"
            return int(books.execute(held).fetchone()[0])

    def available(self) -> int:
        """Return what the customer's wallet has beyond leases."""
        with self._books() as books:
            found = books.execute("SELECT available FROM budgets WHERE kind = 'wallet'").fetchone()
            return int(found[0])

    def balance(self) -> int:
        """Return what the books say the customer has."""
        with self._books() as books:
            pots = (
                "SELECT coalesce(sum(balance), 0) FROM book_accounts WHERE kind IN ('free', 'paid')"
            )
            return int(books.execute(pots).fetchone()[0])

    def settled(self) -> None:
        """Wait until every journal of a process that ended is posted and its lease is back."""
        wait_for(lambda: self.leased() == 0, "leases to come back", 60)

    def verify(self) -> None:
        """Replay the books; fail on any break."""
        answer = self.gateway.run("ledger", "verify")
        assert answer["breaks"] == [], answer


async def _read(reader: asyncio.StreamReader, sold: Sold) -> int:
    """Read one reply to its end; raise `EOFError` where it stops before."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split()[1])
    lines = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
    if status != 200:
        sold.refused += 1
        return status
    call_id = int(lines["x-request-id"].removeprefix("req_"), 16)
    sold.begun.add(call_id)
    if "content-length" in lines:
        await reader.readexactly(int(lines["content-length"]))
    else:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    sold.ended.add(call_id)
    return status
