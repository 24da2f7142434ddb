"""A gateway that sells, its customers, and what its books say afterwards."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import text

from meterway.bench import processes
from meterway.db.engine import open_engine, reading
from meterway.kit.ids import request_id
from tests.factories.gateways import Gateway, wait_for

MODEL, SLOW = "sandbox/echo", "sandbox/slow"
_PRICES = ("--input", "3", "--output", "15")
_DEADLINE = 60.0
_CHARGED = "SELECT call_id, price FROM charges"
_PROMISE_RETRY = frozenset({503})


@dataclass
class Sold:
    """What one customer's calls came to: ids of replies whose last byte arrived, and of others."""

    ended: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    wanting: set[int] = field(default_factory=set)  # statuses without the `retry-after` they need


class Shop:
    """A gateway with priced models and one prepaid customer who owns `dollars`.

    Its books are the SQLite file of the gateway, or the database at `url`.
    """

    def __init__(self, gateway: Gateway, dollars: str, url: str | None = None) -> None:
        self.gateway = gateway
        self._url = url
        self._buyers = 0
        for model in (MODEL, SLOW):
            self.offer(model)
        self.key = self.new_buyer(dollars)

    @classmethod
    def of(cls, gateway: Gateway, key: str) -> Self:
        """Return the shop that a gateway is already, with a customer of it."""
        shop = cls.__new__(cls)
        shop.gateway, shop.key, shop._url, shop._buyers = gateway, key, None, 0
        return shop

    def offer(self, model: str) -> None:
        """Set a price for a model."""
        self.gateway.run("price", "set", model, *_PRICES)

    def new_buyer(self, dollars: str) -> str:
        """Add a prepaid customer; return the key."""
        self._buyers += 1
        email = f"buyer{self._buyers}@example.org"
        self.gateway.run("user", "create", "--email", email, "--password", "long enough")
        self.gateway.run("user", "grant", email, dollars)
        key: str = self.gateway.run("key", "create", "--user", email)["key"]
        return key

    # -- selling -------------------------------------------------------------------------------

    async def call(
        self, sold: Sold, *, stream: bool, model: str = MODEL, key: str | None = None
    ) -> int | None:
        """Make one call; note in `sold` how far it came; return its status, None where cut."""
        try:
            reader, writer = await self.connect()
        except OSError:
            return None
        try:
            writer.write(self.request(stream=stream, model=model, key=key))
            async with asyncio.timeout(_DEADLINE):
                return await _read(reader, sold)
        except (OSError, EOFError):
            return None
        finally:
            writer.transport.abort()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the gateway."""
        host, _, port = self.gateway.base.removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port))

    def request(
        self,
        *,
        stream: bool,
        model: str = MODEL,
        key: str | None = None,
        path: str = "/v1/chat/completions",
    ) -> bytes:
        """Return the bytes of one call; OpenAI's and Anthropic's chat take the same body."""
        ask = {"model": model, "max_tokens": 64, "stream": stream}
        body = json.dumps(ask | {"messages": [{"role": "user", "content": "Say it again"}]})
        version = "" if path.endswith("completions") else "anthropic-version: 2023-06-01\r\n"
        return (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key or self.key}\r\n"
            f"{version}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
        ).encode()

    def receipt(self, call_id: int) -> dict[str, Any]:
        """Return the receipt of a call of the first customer."""
        path = f"/api/v1/user/receipts/{request_id(call_id)}"
        answer = self.gateway.send("GET", path, {"authorization": f"Bearer {self.key}"})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body["data"]
        return found

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

    def ask(self, query: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query of the books."""
        if self._url is not None:
            with ThreadPoolExecutor(1) as pool:  # the caller's thread may run an event loop
                return pool.submit(asyncio.run, _rows(self._url, query)).result()
        with contextlib.closing(sqlite3.connect(self.gateway.data / "meterway.db")) as books:
            return books.execute(query).fetchall()

    def _sum(self, query: str) -> int:
        return int(self.ask(query)[0][0])

    def charged(self) -> dict[int, int]:
        """Return the price of every call charged, by call id."""
        return {int(call): int(price) for call, price in self.ask(_CHARGED)}

    def leased(self) -> int:
        """Return what workers hold."""
        return self._sum("SELECT coalesce(sum(remaining), 0) FROM leases")

    def available(self) -> int:
        """Return what customers' wallets have beyond leases."""
        return self._sum("SELECT coalesce(sum(available), 0) FROM budgets WHERE kind = 'wallet'")

    def balance(self) -> int:
        """Return what the books say the customers have."""
        return self._sum(
            "SELECT coalesce(sum(balance), 0) FROM book_accounts WHERE kind IN ('free', 'paid')"
        )

    def settled(self) -> None:
        """Wait until every journal of a process that ended is posted and its lease is back."""
        wait_for(lambda: self.leased() == 0, "leases to come back", 60)

    def verify(self) -> None:
        """Replay the books; fail on any break."""
        answer = self.gateway.run("ledger", "verify")
        assert answer["breaks"] == [], answer


def ended(crowd: list[Sold]) -> int:
    """Count the replies whose last byte arrived."""
    return sum(len(sold.ended) for sold in crowd)


async def until_ended(crowd: list[Sold], more: int) -> None:
    """Wait until the crowd's replies that ended are `more` than now."""
    goal = ended(crowd) + more
    async with asyncio.timeout(_DEADLINE):
        while ended(crowd) < goal:  # noqa: ASYNC110 - customers have no event for it
            await asyncio.sleep(0.005)


async def _read(reader: asyncio.StreamReader, sold: Sold) -> int:
    """Read one reply to its end; raise `EOFError` where it stops before."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split()[1])
    lines = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
    if status != 200:
        sold.refused[status] += 1
        if status in _PROMISE_RETRY and "retry-after" not in lines:
            sold.wanting.add(status)
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


async def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = open_engine(url)
    try:
        async with reading(engine) as connection:
            return [tuple(row) for row in await connection.execute(text(query))]
    finally:
        await engine.dispose()
