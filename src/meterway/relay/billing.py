"""The money of a call: its price is quoted, its worst case held, its charge journalled."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, TypeAlias

import structlog

from meterway.auth.types import Principal
from meterway.catalog.service import Catalog
from meterway.catalog.types import Model
from meterway.kit.money import Nanos
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.ledger.charges.records import encode_record
from meterway.ledger.charges.types import AttemptCost, Funding, Receipt, Record
from meterway.metering.bounds import worst_case
from meterway.metering.pricing import factor_of, price, service_of
from meterway.metering.quotes import Pricing, Quote
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.sizes import sizes_of
from meterway.protocols.usage import Usage
from meterway.relay.record import CallRecord
from meterway.routing.router import ModelNotFoundError, Terms

_NO_USAGE = Usage()
_MODELS_KEPT = 4096
_MOST_GATHERED = 64
_log = structlog.get_logger()
_SHORT_SECONDS = 2.0
_SHORT_KEPT = 10_000

_Budgets: TypeAlias = tuple[Budget, ...]


class Taken(Protocol):
    """A hold on budgets."""

    amount: Nanos

    def close(self, spent: Nanos) -> tuple[tuple[tuple[int, Nanos], ...], Nanos]:
        """End it with a price; return what the leases cover, and the rest."""

    def release(self) -> None:
        """End it without a price."""


class Purse(Protocol):
    """A worker's leases; see `ledger.budgets.purse`."""

    def take(self, budgets: tuple[Budget, ...], amount: Nanos) -> Taken | None:
        """Hold an amount of each of `budgets`, or of none: then None."""

    async def borrow(self, budgets: tuple[Budget, ...], amount: Nanos) -> Taken:
        """Do the same, asking the database for what is missing."""


class Journal(Protocol):
    """A worker's journal; see `ledger.journal.writer`."""

    def reserve(self) -> None:
        """Keep room for one record."""

    def write(self, record: bytes) -> None:
        """Write a record into that room."""

    def release(self) -> None:
        """Give the room back."""


class Billing:
    """Opens a tab for each call of one worker.

    `terms` says of a model what it is priced as. One that `gathers` leaves the calls that end to
    `write_down`, where the code for them is warm after the first: a record has to be there
    before its reply's last byte leaves, and no sooner.
    """

    def __init__(  # noqa: PLR0913 - what a worker has of money
        self,
        catalog: Catalog,
        pricing: Pricing,
        purse: Purse,
        journal: Journal,
        terms: Callable[[str], Terms],
        *,
        gathers: bool = False,
    ) -> None:
        self._catalog = catalog
        self._pricing = pricing
        self._purse = purse
        self._terms = terms
        self._models: dict[str, Model | None] = {}
        self._gathers = gathers
        self._ended: list[tuple[Tab, CallRecord, str | None]] = []
        self.journal = journal
        self._short: dict[_Budgets, tuple[Nanos, float]] = {}

    async def open(self, call: Call, caller: Principal, record: CallRecord) -> "Tab":
        """Hold what `call` can cost, and the room to write down what it did.

        Raises `ModelNotFoundError` for a model without a price, `UnpricedServiceError`,
        `InsufficientBalanceError`, and `UnavailableError` where disk or database fail.
        """
        facts, now = call.facts, record.began
        name, free = self._terms(facts.model)
        tier = caller.tier_at(now)
        quote = self._pricing.quote(name, at=now, tier=tier, billing=record.billing, free=free)
        if quote is None:
            raise ModelNotFoundError(facts.model)
        factor_of(quote.rates, facts.service_tier)  # refuses what has no price
        most = self._most(call, quote, name) if _can_run_out(caller, record.billing) else 0
        self.journal.reserve()
        try:
            taken, funding = await self._held(caller, record, most)
        except BaseException:
            self.journal.release()
            raise
        return Tab(self, quote, facts.service_tier, taken, funding)

    async def _held(
        self, caller: Principal, record: CallRecord, most: Nanos
    ) -> tuple[Taken | None, Funding]:
        """Hold `most` of the billing channel's credit where that covers it, else as ever."""
        if most and record.billing:
            credit = _credit(caller.user_id, caller.key_id, record.billing, caller.capped)
            taken = self._purse.take(credit, most) or await self._lent(credit, most, record.began)
            if taken is not None:
                return taken, Funding.CREDIT
        budgets = _budgets(caller.user_id, caller.key_id, caller.postpaid, caller.capped)
        funding = Funding.DUE if caller.postpaid else Funding.WALLET
        if not (most and budgets):
            return None, funding
        return self._purse.take(budgets, most) or await self._purse.borrow(budgets, most), funding

    async def _lent(self, credit: _Budgets, most: Nanos, now: float) -> Taken | None:
        """Borrow of a credit, None where it does not do: most callers have none, or spent it.

        That it did not is remembered for two seconds, so that their calls ask no database.
        """
        least, since = self._short.get(credit, (most + 1, 0.0))
        if most >= least and 0 <= now - since < _SHORT_SECONDS:
            return None
        try:
            return await self._purse.borrow(credit, most)
        except InsufficientBalanceError:
            if len(self._short) >= _SHORT_KEPT:
                self._short.clear()
            self._short[credit] = most, now
            return None

    def charge(self, tab: "Tab", record: CallRecord, service: str | None) -> None:
        """Journal a call that was priced: now, or with those that end in the same turn."""
        if not self._gathers:
            self.journal.write(encode_record(tab.charged(record, service)))
            return
        ended = self._ended
        ended.append((tab, record, service))
        if len(ended) >= _MOST_GATHERED:
            self.write_down()
        elif len(ended) == 1:  # where nothing is written any more, as to a client who left
            asyncio.get_running_loop().call_soon(self.write_down)

    def write_down(self) -> None:
        """Journal the calls that ended, in their order; who writes to clients calls this before."""
        ended, self._ended = self._ended, []
        for tab, record, service in ended:
            try:
                self.journal.write(encode_record(tab.charged(record, service)))
            except Exception as error:  # noqa: BLE001 - one call's fault is not the others'
                _log.error("call.not_journalled", call_id=record.call_id, exc_info=error)

    def cost(self, record: CallRecord, usage: Usage, asked: Quote, service: str | None) -> Nanos:
        """Return what the answering upstream charges us, as far as its list price is known.

        `asked` is what the call itself was priced by.
        """
        last = record.attempts[-1]
        if last.free:
            return 0
        quote = self._pricing.quote(last.model, at=record.began)
        if quote is None:
            return 0
        if quote.rates is asked.rates and not asked.factors:
            return record.price  # the usual case: one price for both, and nothing multiplied
        return price(usage, quote.rates, (), service if service in quote.rates.services else None)

    def _known(self, name: str) -> Model | None:
        """Return what the catalogue knows of a model; looked up once for all its calls."""
        models = self._models
        try:
            return models[name]
        except KeyError:
            if len(models) >= _MODELS_KEPT:  # callers choose the names
                models.clear()
            found = models[name] = self._catalog.find(name)
            return found

    def _most(self, call: Call, quote: Quote, name: str) -> Nanos:
        facts = call.facts
        return worst_case(
            sizes_of(call.body),
            quote.rates,
            quote.factors,
            model=self._known(name),
            max_tokens=facts.max_tokens,
            choices=facts.choices,
            service=facts.service_tier,
        )


class Tab:
    """What one call holds; `close` it once."""

    __slots__ = ("_billing", "_quote", "_service", "_source", "_taken")

    def __init__(
        self,
        billing: Billing,
        quote: Quote,
        service: str | None,
        taken: Taken | None,
        source: Funding,
    ) -> None:
        self._billing = billing
        self._quote = quote
        self._service = service
        self._taken = taken
        self._source = source

    def close(self, record: CallRecord, *, due: bool) -> None:
        """Charge `record`, whose usage is complete then, where that is `due`; else let go."""
        taken, billing = self._taken, self._billing
        if due:
            usage, quote = record.usage or _NO_USAGE, self._quote
            service = service_of(quote.rates, self._service, record.service_tier)
            record.price = price(usage, quote.rates, quote.factors, service)
            billing.charge(self, record, service)
            return
        if taken is not None:
            taken.release()
        billing.journal.release()

    def charged(self, record: CallRecord, service: str | None) -> Record:
        """End the hold of a call that was priced, and return what is kept of it."""
        usage, amount = record.usage or _NO_USAGE, record.price
        takes, overrun = ((), 0) if self._taken is None else self._taken.close(amount)
        cost = self._billing.cost(record, usage, self._quote, service)
        return Record(
            call_id=record.call_id,
            user_id=record.user_id,
            key_id=record.key_id,
            model=record.model,
            channel_id=record.attempts[-1].channel_id,
            funding=self._source if amount else Funding.HOUSE,
            price=amount,
            # beyond a postpaid user's capped key it is owed all the same
            overrun=0 if self._source is Funding.DUE else overrun,
            cost=cost,
            billing=record.billing,
            takes=takes,
            receipt=self._receipt(record, usage, service, cost),
        )

    def _receipt(
        self, record: CallRecord, usage: Usage, service: str | None, cost: Nanos
    ) -> Receipt:
        *failed, last = record.attempts
        attempts = [AttemptCost(one.channel, one.status, one.error) for one in failed]
        attempts.append(AttemptCost(last.channel, last.status, last.error, cost))
        assert record.outcome is not None, "the outcome is fixed before its price"
        return Receipt(
            dialect=record.dialect,
            stream=record.stream,
            outcome=record.outcome,
            usage=usage,
            usage_source=record.usage_source,
            price_id=self._quote.price.id,
            hold=0 if self._taken is None else self._taken.amount,
            began=record.began,
            seconds=record.seconds,
            first_byte=record.first_byte,
            multipliers=dict(self._quote.multipliers),
            service=service,
            policy=record.policy,
            error=record.error,
            attempts=tuple(attempts),
        )


@lru_cache(maxsize=10_000)
def _budgets(
    user_id: int,
    key_id: int,
    postpaid: bool,  # noqa: FBT001 - positional for a cheap cache key
    capped: bool,  # noqa: FBT001 - same
) -> _Budgets:
    """Return what a caller's calls are paid from, and what else may run out with them."""
    key = (Budget(BudgetKind.KEY, key_id),) if capped else ()
    return key if postpaid else (Budget(BudgetKind.WALLET, user_id), *key)


@lru_cache(maxsize=10_000)
def _credit(
    user_id: int,
    key_id: int,
    billing: str,
    capped: bool,  # noqa: FBT001 - positional for a cheap cache key
) -> _Budgets:
    """Return the same, where a credit for a billing channel pays."""
    key = (Budget(BudgetKind.KEY, key_id),) if capped else ()
    return (Budget(BudgetKind.CREDIT, user_id, billing), *key)


def _can_run_out(caller: Principal, billing: str) -> bool:
    return bool(billing) or caller.capped or not caller.postpaid
