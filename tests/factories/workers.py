"""A whole worker in the test's own process: a real port, real books, priced sandbox models."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

from meterway.catalog.prices import service as prices
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import Kind as Factor
from meterway.catalog.tariffs import NewPrice, Rates, Tariff
from meterway.db.engine import reading, transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from meterway.kit import secret_file
from meterway.kit.clock import SystemClock
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import Filters
from meterway.ledger.gifts import service as gifts
from meterway.ledger.journal import service as journals
from meterway.ledger.settler import Settler
from meterway.limits.service import create_counts
from meterway.processes.gateway import build
from meterway.processes.workplace import Workplace
from meterway.settings import load
from tests.factories.users import new_user
from tests.fakes.http_server import DEADLINE, serving

MODEL, OTHER, SLOW = "sandbox/echo", "sandbox/no-usage", "sandbox/slow"
USD = 1_000_000_000
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Worker:
    """A worker on a real port, one user with a key, and the settler."""

    def __init__(self, engine, server, settler, *, user, secrets, home) -> None:
        self.engine, self.user = engine, user
        self.settings, self.place = home
        self.pepper, self.token = secrets
        self._server = server
        self._settler = settler

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.port
        return port

    async def quiet(self) -> None:
        """Wait until nothing is being served."""
        async with asyncio.timeout(DEADLINE):
            while self._server.state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0)

    async def emptied(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(DEADLINE):
            await self._server.emptied()

    async def ask(self, request, body=None, *, auth="authorization: Bearer {}", key=None, more=()):
        """Send METHOD PATH; a `body` as JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{request} HTTP/1.1", "host: x", f"content-length: {len(content)}", *more]
        lines.append(auth.format(key or self.token))
        client = await self._server.connect()
        answer = await client.ask("\r\n".join([*lines, "", ""]).encode() + content)
        if "transfer-encoding" in answer.headers:
            answer.body = await asyncio.wait_for(client.reader.readuntil(_LAST_CHUNK), DEADLINE)
        return answer

    async def stranger(self):
        """Return the key of another user."""
        other = await new_user(self.engine)
        async with transaction(self.engine) as tx:
            new = NewKey(user_id=other)
            return (await keys.create(tx, self.pepper, new, known=(), now=0))[1]

    async def give(self, *, wallet=0, credit=0, billing="cc-omg"):
        async with transaction(self.engine) as tx:
            if wallet:
                await budgets.top_up(tx, self.user, wallet, at=1.0, reference=None)
            if credit:
                await gifts.give_credit(tx, self.user, billing, credit, at=1.0, reference=None)

    async def posted(self, most=100):
        """Post what was journalled; return the user's calls, the youngest first."""
        while await self._settler.turn():
            pass
        async with reading(self.engine) as connection:
            return await charges.page(connection, self.user, None, most, Filters())

    async def balances(self):
        """Return what is left of wallet and credit."""
        of = [Account(Kind.PAID, self.user), Account(Kind.CREDIT, self.user, "cc-omg")]
        async with reading(self.engine) as connection:
            found = await books.balances(connection, of)
            assert await budgets.broken(connection) == []
        return tuple(found[account] for account in of)


async def _priced(engine):
    """Price three models, and halve them on one service."""
    async with transaction(engine) as tx:
        catalog, now = Catalog(), SystemClock().now()
        for model in (MODEL, OTHER, SLOW):
            tariff = Tariff(rates=Rates(input=1 * USD, output=2 * USD))
            new = NewPrice(model=model, tariff=tariff, source="test")
            await prices.set_price(tx, new, catalog, listed={model}, now=now)
        await prices.set_multiplier(tx, Factor.BILLING, "cc-omg", 500_000, catalog)


@asynccontextmanager
async def open_worker(engine, folder: Path, **flags):
    """Serve as one worker would, with a user whose key is an admin key."""
    secrets = secret_file.create(folder / "secret")
    await _priced(engine)
    user = await new_user(engine)
    async with transaction(engine) as tx:
        new = NewKey(user_id=user, is_admin=True)
        _, token = await keys.create(tx, secrets.pepper, new, known=(), now=0)
    url = engine.url.render_as_string(hide_password=False)
    url = url.replace("+aiosqlite", "").replace("+asyncpg", "")
    settings = load({"data": folder, "database_url": url, **flags}, environ={})
    place = Workplace(folder)
    create_counts(place.limits, 4)
    gateway = await build(settings, node=3, place=place)
    settler = Settler(
        engine,
        settings.journals,
        journals.place_of(settings.journals),
        clock=SystemClock(),
        count_keys=keys.count_use,
    )
    async with serving(gateway.app) as server:
        known, home = (secrets.pepper, token), (settings, place)
        yield Worker(engine, server, settler, user=user, secrets=known, home=home)
    await gateway.close()
    settler.close()
