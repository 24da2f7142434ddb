"""The platform's endpoints on a real database and a real port, over a ledger that is a fake."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from meterway.accounts.types import Tier
from meterway.auth.service import Authenticator
from meterway.catalog.types import Model
from meterway.db.engine import transaction
from meterway.edge.http import InFlight
from meterway.edge.platform import account, billing, keys, purchases, receipts, usage
from meterway.edge.platform.envelope import Door
from meterway.edge.server import Route, Server
from meterway.keys import service
from meterway.keys.types import NewKey
from meterway.kit.errors import MeterwayError
from meterway.kit.ids import CallIds
from meterway.kit.money import NANOS_PER_USD
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Pots
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import AttemptCost, Receipt
from meterway.limits.types import Kind
from meterway.protocols.usage import Usage, UsageSource
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Answer, RunningServer, serving

PEPPER = b"p" * 32
UNITS = 250_000
PRICES = {Tier.VIP: 10 * NANOS_PER_USD, Tier.PREMIUM: 0}
MODELS = [
    Model(id="gpt-4o", family="gpt-4", vendor="openai", title="GPT-4o"),
    Model(id="claude-3-opus", family="claude-opus", vendor="anthropic", title="Claude 3 Opus"),
]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A posted call as the ledger returns it."""

    call_id: int
    user_id: int
    key_id: int
    model: str = "gpt-4o"
    price: int = 1_000_000
    free: int = 0
    paid: int = 1_000_000
    credit: int = 0
    due: int = 0
    overrun: int = 0
    cost: int = 700_000
    receipt: Receipt = Receipt(
        dialect="openai_chat",
        stream=True,
        outcome="done",
        usage=Usage(input=10, cache_read=4, output=5, reasoning=2),
        usage_source=UsageSource.REPORTED,
        price_id=12,
        hold=5_000_000,
        began=1_800_000_000.5,
        seconds=1.5,
        first_byte=0.25,
        multipliers={"tier": 900_000},
        attempts=(
            AttemptCost(channel="secret-channel", status=500, error="upstream_failed"),
            AttemptCost(channel="main", status=200, cost=700_000),
        ),
    )


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """A sum as the ledger returns it."""

    of: int | str
    calls: int = 1
    input_tokens: int = 10
    output_tokens: int = 5
    price: int = 1_000_000


class FakeLedger:
    """Charges, sums and pots that a test lays out; `asked` are the questions for pages and sums."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.sums: list[Sum] = []
        self.of_users: dict[int, Pots] = {}
        self.asked: list[Any] = []

    async def receipt(self, connection, user_id, call_id):
        mine = [one for one in self.charges if (one.user_id, one.call_id) == (user_id, call_id)]
        return mine[0] if mine else None

    async def page(self, connection, user_id, before, limit, filters):
        self.asked.append((before, limit, filters))
        found = [
            one
            for one in sorted(self.charges, key=lambda one: -one.call_id)
            if one.user_id == user_id
            and (before is None or one.call_id < before)
            and filters.model in {None, one.model}
            and filters.key_id in {None, one.key_id}
        ]
        return found[:limit]

    async def summary(self, connection, user_id, by, since, until):
        self.asked.append((user_id, by, since, until))
        return self.sums

    async def pots(self, connection, user_ids):
        return {one: self.of_users[one] for one in user_ids if one in self.of_users}


class RealLedger:
    """The ledger itself."""

    receipt = staticmethod(charges.receipt)
    page = staticmethod(charges.page)
    summary = staticmethod(charges.summary)
    pots = staticmethod(books.pots)


class TooFastError(MeterwayError):
    """What a pace refuses with."""

    status, code = 429, "rate_limit_exceeded"


class FakePace:
    """Admits everything, or nothing once `refuses` is set; `counted` is what it was asked."""

    def __init__(self) -> None:
        self.counted: list[tuple[Kind, int]] = []
        self.refuses = False

    async def keep(self, kind, user_id):
        self.counted.append((kind, user_id))
        if self.refuses:
            raise TooFastError("Slower, please.", retry_after=0.5)


@dataclass
class Person:
    """A user with an admin key and an ordinary one: ids and texts."""

    id: int
    admin_id: int = 0
    admin: str = ""
    plain_id: int = 0
    plain: str = ""


@dataclass
class Platform:
    """The running endpoints, and what stands behind them."""

    engine: Any
    clock: FakeClock
    auth: Authenticator
    ledger: FakeLedger
    pace: FakePace
    routes: list[Route]
    server: RunningServer
    ann: Person = field(default_factory=lambda: Person(0))
    bob: Person = field(default_factory=lambda: Person(0))

    async def new_key(self, user_id: int, **facts: Any) -> tuple[int, str]:
        """Make a key without going through the API."""
        async with transaction(self.engine) as tx:
            new = NewKey(user_id=user_id, **facts)
            return await service.create(tx, PEPPER, new, known={"gpt-4o"}, now=0)

    async def new_person(self, **rights: bool) -> Person:
        """Make a user with two keys."""
        user_id = await new_user(self.engine, **rights)
        admin = await self.new_key(user_id, is_admin=True)
        plain = await self.new_key(user_id)
        return Person(user_id, *admin, *plain)

    async def ask(
        self,
        request: str,
        key: str | None,
        body: Any = None,
        *,
        form: bool = False,
        headers: tuple[str, ...] = (),
    ) -> Answer:
        """Send METHOD PATH with a JSON body, or `form`; bytes are sent as they are."""
        client = await self.server.connect()
        await client.send(_request(request, key, body, headers, form=form))
        head = await client.reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode().strip().split("\r\n")
        found = dict(one.split(": ", 1) for one in lines)
        if found.get("transfer-encoding") == "chunked":
            return Answer(int(status.split()[1]), found, await _chunks(client.reader))
        length = int(found.get("content-length", 0))
        return Answer(int(status.split()[1]), found, await client.reader.readexactly(length))

    async def admin(
        self, name: str, body: Any = None, key: str | None = None, **how: Any
    ) -> Answer:
        """Ask an endpoint under `/api/v1/user/admin/`, as Ann's admin key."""
        return await self.ask(f"POST /api/v1/user/admin/{name}", key or self.ann.admin, body, **how)


def _request(
    request: str, key: str | None, body: Any, headers: tuple[str, ...], *, form: bool
) -> bytes:
    lines = [f"{request} HTTP/1.1", "host: x", *headers]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    content = b""
    if isinstance(body, bytes):
        content = body
    elif form:
        content = urlencode(body).encode()
        lines.append("content-type: application/x-www-form-urlencoded")
    elif body is not None:
        content = msgspec.json.encode(body)
        lines.append("content-type: application/json")
    lines.append(f"content-length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _chunks(reader) -> bytes:
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    return body


def _routes(
    engine: Any, clock: FakeClock, ledger: "FakeLedger | RealLedger", door: Door
) -> list[Route]:
    key_desk = keys.KeyDesk(
        engine=engine,
        clock=clock,
        pepper=PEPPER,
        models=lambda: MODELS,
        units_per_usd=UNITS,
    )
    return [
        *keys.routes(door, key_desk),
        *account.routes(
            door,
            account.AccountDesk(engine=engine, clock=clock, pots=ledger.pots, units_per_usd=UNITS),
        ),
        *purchases.routes(door, _purchase_desk(engine, clock)),
        *receipts.routes(
            door,
            receipts.ReceiptDesk(engine=engine, receipt=ledger.receipt, units_per_usd=UNITS),
        ),
        *usage.routes(
            door,
            usage.UsageDesk(
                engine=engine,
                pepper=PEPPER,
                page=ledger.page,
                summary=ledger.summary,
                units_per_usd=UNITS,
            ),
        ),
        *billing.routes(
            door, billing.BillingDesk(engine=engine, pots=ledger.pots, summary=ledger.summary)
        ),
    ]


def _purchase_desk(engine: Any, clock: FakeClock) -> purchases.PurchaseDesk:
    return purchases.PurchaseDesk(
        engine=engine,
        clock=clock,
        pepper=PEPPER,
        pots=books.pots,
        prices=PRICES,
        units_per_usd=UNITS,
    )


@asynccontextmanager
async def open_platform(engine, *, real: bool = False) -> AsyncIterator[Platform]:
    """Serve all endpoints that need a key, for Ann and for Bob; `real` with the ledger itself."""
    clock, ledger, pace = FakeClock(), FakeLedger(), FakePace()
    auth = Authenticator(engine, PEPPER, clock)
    door = Door(authenticator=auth, in_flight=InFlight(10_000_000), pace=pace)
    routes = _routes(engine, clock, RealLedger() if real else ledger, door)
    async with serving(Server(routes, CallIds(0))) as server:
        platform = Platform(engine, clock, auth, ledger, pace, routes, server)
        platform.ann = await platform.new_person()
        platform.bob = await platform.new_person()
        yield platform
    await door.close()
    await auth.close()
