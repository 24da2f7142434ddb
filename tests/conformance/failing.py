"""A gateway before a vendor that fails on purpose, its customers, and what its books say then."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from meterway.protocols.usage import Usage
from tests.conformance.metered import UPSTREAMS
from tests.factories.gateways import Gateway, Key, wait_for
from tests.fakes.failing_vendor import Break, FailingVendor, Heard
from tests.fakes.scripted_vendor import scripted_vendor

# Dollars for a million tokens, so thousandths of a millionth of a dollar times 1000 for one; no
# class costs what another does.
PRICES = {
    "input": 3,
    "cache_read": 1,
    "cache_write_5m": 4,
    "cache_write_1h": 6,
    "output": 15,
    "reasoning": 17,
}
_NANOS = 10**9
_BALANCE = (
    "SELECT coalesce(sum(balance), 0) FROM book_accounts"
    " WHERE kind IN ('free', 'paid') AND owner = ?"
)
_AVAILABLE = "SELECT coalesce(sum(available), 0) FROM budgets WHERE kind = 'wallet'"
_LEASED = "SELECT coalesce(sum(remaining), 0) FROM leases"


@dataclass(frozen=True)
class Customer:
    """A prepaid user with a key, who owns `dollars`."""

    id: int
    email: str
    key: Key
    dollars: str

    @property
    def granted(self) -> int:
        """The same in nano-dollars."""
        return int(Decimal(self.dollars) * _NANOS)


@dataclass
class Failing:
    """The gateway, one channel for each dialect of the vendor's, and what was charged so far."""

    gateway: Gateway
    vendor: FailingVendor
    charged: dict[int, list[int]] = field(default_factory=dict)
    _customers: int = 0

    def customer(self, dollars: str = "10") -> Customer:
        """Make one."""
        self._customers += 1
        email, run = f"customer{self._customers}@example.org", self.gateway.run
        user = run("user", "create", "--email", email, "--password", "long enough")
        if Decimal(dollars):
            run("user", "grant", email, dollars)
        made = run("key", "create", "--user", email)
        return Customer(int(user["id"]), email, Key(int(made["id"]), made["key"]), dollars)

    def settled(self, customer: Customer) -> list[dict[str, Any]]:
        """Return the receipts of a customer's calls, oldest first, once they are as they should be.

        They are what the vendor reported, call by call and to the nano, and nothing else; the
        customer has what is left, and the books replay without a break.
        """
        expected = [owed for heard in self.vendor.heard if (owed := _owed(heard)) is not None]
        page = wait_for(lambda: self._page(customer, len(expected)), "the charges")
        receipts = [
            self._read(customer, "GET", f"/api/v1/user/receipts/{call['id']}")
            for call in page["calls"]
        ]
        assert Counter(map(_charged, receipts)) == Counter(expected)
        prices = [price(owed.usage) for owed in expected]
        self.charged[customer.id] = prices
        assert sorted(map(_fee, receipts)) == sorted(prices)
        assert self._number(_BALANCE, customer.id) == customer.granted - sum(prices)
        assert self.gateway.run("ledger", "verify")["breaks"] == []
        return sorted(receipts, key=lambda receipt: str(receipt["id"]))

    def another_key(self, customer: Customer, *options: str) -> str:
        """Make another key of a customer's."""
        key: str = self.gateway.run("key", "create", "--user", customer.email, *options)["key"]
        return key

    def refusals(self) -> list[tuple[int, str]]:
        """Return status and code of everything that was refused so far."""
        return [
            (event["status"], event["code"]) for event in self.gateway.events("request.refused")
        ]

    def rests(self) -> None:
        """Check that nothing is held any more, and that nothing was charged behind our back."""
        wait_for(lambda: self._number(_LEASED) == 0, "leases to come back")
        for customer, prices in self.charged.items():
            query = "SELECT coalesce(sum(price), 0) FROM charges WHERE user_id = ?"
            assert self._number(query, customer) == sum(prices)

    def _page(self, customer: Customer, number: int) -> dict[str, Any] | None:
        page: dict[str, Any] = self._read(customer, "POST", "/api/v1/user/usage/list", "{}")
        return page if len(page["calls"]) >= number else None

    def _read(self, customer: Customer, method: str, path: str, body: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {customer.key.token}"}
        answer = self.gateway.send(method, path, headers, body)
        assert answer.status == 200, answer
        return answer.body["data"]

    def _number(self, query: str, *values: int) -> int:
        with closing(sqlite3.connect(self.gateway.data / "meterway.db")) as books:
            return int(books.execute(query, values).fetchone()[0])


class _Owed(NamedTuple):
    """What is to be charged of one answer, and why."""

    usage: Usage
    outcome: str
    source: str
    policy: str | None


def _owed(heard: Heard) -> _Owed | None:
    """Return what an answer costs by docs/clients.md, None where it is free."""
    if heard.written is None:
        usage = heard.usage
        return None if usage is None else _Owed(usage, "completed", "reported", None)
    if not heard.written:
        return None
    assert isinstance(heard.fault, Break)
    outcome, policy = "upstream_cut", "upstream_cut"
    if heard.fault.last is not None:
        outcome, policy = "failed", "upstream_failed"
    opened = heard.usage or Usage(input=_tokens(heard.size))
    usage = msgspec.structs.replace(opened, output=_tokens(heard.written))
    return _Owed(usage, outcome, "estimated", policy)


def _tokens(size: int) -> int:
    """Return the estimate for so many bytes of text: a token for every 3.5 that began."""
    return -(-2 * size // 7)


def price(usage: Usage) -> int:
    """Return what a usage costs in nano-dollars."""
    return sum(getattr(usage, name) * dollars * 1000 for name, dollars in PRICES.items())


def _charged(receipt: dict[str, Any]) -> _Owed:
    usage = Usage(**receipt["usage"])
    return _Owed(usage, receipt["outcome"], receipt["usage_source"], receipt["policy"])


def _fee(receipt: dict[str, Any]) -> int:
    return int(Decimal(receipt["fee_usd"]) * _NANOS)


@contextmanager
def failing_gateway(new_gateway: Callable[..., Gateway], **environ: str) -> Iterator[Failing]:
    """Run the vendor and a gateway before it; in the end nothing may be held."""
    with scripted_vendor(FailingVendor()) as vendor:
        assert isinstance(vendor, FailingVendor)
        gateway = new_gateway(**environ)
        models = set()
        for name, (provider, end, names) in UPSTREAMS.items():
            where = ("--provider", provider, "--name", name, "--prefix", name)
            base = ("--base-url", vendor.base + end, "--api-key", "sk-vendor")
            gateway.run("channel", "add", *where, *base, "--models", names)
            models.add(names.partition(",")[0])
        rates = [
            part
            for name, dollars in PRICES.items()
            for part in (f"--{name.replace('_', '-')}", str(dollars))
        ]
        for model in sorted(models):
            gateway.run("price", "set", model, *rates)
        made = Failing(gateway.start(), vendor)
        yield made
        made.rests()
