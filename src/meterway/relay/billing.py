"""The money of a call: its price is quoted, its worst case held, its charge journalled."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec
import structlog
from msgspec.structs import astuple

from meterway.auth.types import Principal
from meterway.catalog.book import Book
from meterway.catalog.service import Catalog
from meterway.kit.money import Nanos
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.types import Budget, BudgetKind, Takes
from meterway.ledger.charges.records import encode_records
from meterway.ledger.charges.types import AttemptCost, Funding, Receipt, Record
from meterway.metering.bounds import Ceiling
from meterway.metering.pricing import price, price_of_counts, service_of
from meterway.metering.quotes import Pricing, Quote
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codec import Facts
from meterway.protocols.usage import Usage
from meterway.relay.record import CallRecord
from meterway.routing.router import ModelNotFoundError, Terms

_NO_USAGE = Usage()
_PLANS_KEPT = 10_000
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

    def write(self, record: bytes, calls: int = 1) -> None:
        """Write the record of so many calls into the room of each."""

    def release(self) -> None:
        """Give the room back."""


class Funds(Protocol):
    """What a worker pays calls from and writes them down in, as they are at the moment."""

    @property
    def purse(self) -> Purse:
        """The leases."""

    @property
    def journal(self) -> Journal:
        """The journal; one that is not there yet refuses to reserve."""


class Billing:
    """Opens a tab for each call of one worker.

    `terms` says of a model what it is priced as. One that `gathers` leaves the calls that end to
    `write_down`, where the code for them is warm after the first: a record has to be there
    before its reply's last byte leaves, and no sooner.
    """

    def __init__(
        self,
        catalog: Catalog,
        pricing: Pricing,
        funds: Funds,
        terms: Callable[[str], Terms],
        *,
        gathers: bool = False,
    ) -> None:
        self._catalog = catalog
        self._pricing = pricing
        self._terms = terms
        self._plans: dict[tuple[int, str, str | None, str], _Plan] = {}
        self._gathers = gathers
        self._ended: list[tuple[Tab, CallRecord, str | None]] = []
        self.funds = funds
        self._short: dict[_Budgets, tuple[Nanos, float]] = {}

    async def open(self, call: Call, caller: Principal, record: CallRecord) -> "Tab":
        """Hold what `call` can cost, and the room to write down what it did.

        Raises `ModelNotFoundError` for a model without a price, `UnpricedServiceError`,
        `InsufficientBalanceError`, and `UnavailableError` where disk or database fail.
        """
        tab = self.at_once(call, caller, record)
        if tab is not None:
            return tab
        facts = call.facts
        plan = self._plan(caller, facts, record)
        most = plan.ceiling.of(call.codec.sizes(call.body), facts.max_tokens, facts.choices)
        self.funds.journal.reserve()
        try:
            taken, funding = await self._borrowed(plan, most, record)
        except BaseException:
            self.funds.journal.release()
            raise
        return Tab(self, plan, facts.service_tier, taken, funding)

    def at_once(self, call: Call, caller: Principal, record: CallRecord) -> "Tab | None":
        """Do the same from memory, as nearly every call can; None where the database is asked."""
        facts, funds = call.facts, self.funds
        plan = self._plan(caller, facts, record)
        most, taken = 0, None
        if plan.limited:
            most = plan.ceiling.of(call.codec.sizes(call.body), facts.max_tokens, facts.choices)
        funds.journal.reserve()
        if most:
            taken = None if record.billing else funds.purse.take(plan.budgets, most)
            if taken is None:
                funds.journal.release()
                return None
        return Tab(self, plan, facts.service_tier, taken, plan.funding)

    def forget(self) -> None:
        """Plan every call anew; to be called when what models are priced as may have changed."""
        self._plans.clear()

    def _plan(self, caller: Principal, facts: Facts, record: CallRecord) -> "_Plan":
        """Return how such calls are paid."""
        plan = self._plans.get((id(caller), facts.model, facts.service_tier, record.billing))
        if (
            plan is None
            or not plan.since <= record.began < plan.until
            or plan.book is not self._pricing.book
        ):
            plan = self._planned(caller, facts.model, facts.service_tier, record)
        return plan

    def _planned(
        self, caller: Principal, model: str, service: str | None, record: CallRecord
    ) -> "_Plan":
        """Work it out, and remember it."""
        now, billing = record.began, record.billing
        name, free = self._terms(model)
        tier = caller.tier_at(now)
        quote = self._pricing.quote(name, at=now, tier=tier, billing=billing, free=free)
        if quote is None:
            raise ModelNotFoundError(model)
        ceiling = Ceiling(
            quote.rates, quote.factors, model=self._catalog.find(name), service=service
        )
        since, until = caller.span_of_tier(now)
        book = self._pricing.book
        first, end = book.span(now)
        plan = _Plan(
            caller=caller,
            name=name,
            since=max(since, first),
            until=min(until, end),
            book=book,
            quote=quote,
            ceiling=ceiling,
            limited=bool(billing) or caller.capped or not caller.postpaid,
            budgets=_budgets(caller),
            credit=(Budget(BudgetKind.CREDIT, caller.user_id, billing), *_key_budget(caller)),
            funding=Funding.DUE if caller.postpaid else Funding.WALLET,
        )
        if len(self._plans) >= _PLANS_KEPT:
            self._plans.clear()
        self._plans[id(caller), model, service, billing] = plan
        return plan

    async def _borrowed(
        self, plan: "_Plan", most: Nanos, record: CallRecord
    ) -> tuple[Taken | None, Funding]:
        """Hold `most` of the billing channel's credit where that covers it, else as ever."""
        purse, budgets = self.funds.purse, plan.budgets
        if record.billing:
            taken = purse.take(plan.credit, most)
            taken = taken or await self._lent(plan.credit, most, record.began)
            if taken is not None:
                return taken, Funding.CREDIT
        if not budgets:
            return None, plan.funding
        return purse.take(budgets, most) or await purse.borrow(budgets, most), plan.funding

    async def _lent(self, credit: _Budgets, most: Nanos, now: float) -> Taken | None:
        """Borrow of a credit, None where it does not do: most callers have none, or spent it.

        That it did not is remembered for two seconds, so that their calls ask no database.
        """
        least, since = self._short.get(credit, (most + 1, 0.0))
        if most >= least and 0 <= now - since < _SHORT_SECONDS:
            return None
        try:
            return await self.funds.purse.borrow(credit, most)
        except InsufficientBalanceError:
            if len(self._short) >= _SHORT_KEPT:
                self._short.clear()
            self._short[credit] = most, now
            return None

    def charge(self, tab: "Tab", record: CallRecord, service: str | None) -> None:
        """Journal a call that was priced: now, or with those that end in the same turn."""
        ended = self._ended
        ended.append((tab, record, service))
        if len(ended) == 1 and self._gathers:
            # where nothing is written any more, as to a client who left
            asyncio.get_running_loop().call_soon(self.write_down)
        elif len(ended) >= _MOST_GATHERED or not self._gathers:
            self.write_down()

    def write_down(self) -> None:
        """Journal the calls that ended, in their order; who writes to clients calls this before."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        charged: list[Record] = []
        for tab, record, service in ended:
            try:
                charged.append(tab.charged(record, service))
            except Exception as error:  # noqa: BLE001 - one call's fault is not the others'
                self._lose(record.call_id, error)
        if charged:
            self._journal(charged)

    def _journal(self, charged: Sequence[Record]) -> None:
        """Write calls down together, or in halves where they are too long or one is at fault."""
        count = len(charged)
        try:
            self.funds.journal.write(encode_records(charged), count)
        except Exception as error:  # noqa: BLE001 - one call's fault is not the others'
            if count == 1:
                self._lose(charged[0].call_id, error)
            else:
                self._journal(charged[: count // 2])
                self._journal(charged[count // 2 :])

    def _lose(self, call_id: int, error: Exception) -> None:
        """Tell of a call that cannot be written down; its room is another's from now on."""
        self.funds.journal.release()
        _log.error("call.not_journalled", call_id=call_id, exc_info=error)

    def cost(self, record: CallRecord, usage: Usage, plan: "_Plan", service: str | None) -> Nanos:
        """Return what the answering upstream charges us, as far as its list price is known."""
        last = record.attempts[-1]
        if last.free:
            return 0
        if last.model == plan.name and not plan.quote.factors:
            return record.price  # the usual case: one price for both, and nothing multiplied
        quote = self._pricing.quote(last.model, at=record.began)
        if quote is None:
            return 0
        return price(usage, quote.rates, (), service if service in quote.rates.services else None)


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one caller's calls for one model are paid: from `since` until `until`, by one book.

    `name` is what its model is priced as. What is `limited` takes a hold. `credit` are the budgets
    where a billing channel's credit pays. Keeping the caller keeps its identity, by which plans
    are found.
    """

    caller: Principal
    name: str
    since: float
    until: float
    book: Book
    quote: Quote
    ceiling: Ceiling
    limited: bool
    budgets: _Budgets
    credit: _Budgets
    funding: Funding


class Tab(msgspec.Struct, frozen=True):
    """What one call holds; `close` it once."""

    billing: Billing
    plan: _Plan
    service: str | None
    taken: Taken | None
    source: Funding

    def close(self, record: CallRecord, *, due: bool) -> None:
        """Charge `record`, whose usage is complete then, where that is `due`; else let go."""
        if due:
            counts, quote = astuple(record.usage or _NO_USAGE), self.plan.quote
            service = service_of(quote.rates, self.service, record.service_tier)
            record.price = price_of_counts(counts, quote.rates, quote.factors, service)
            self.billing.charge(self, record, service)
            return
        if self.taken is not None:
            self.taken.release()
        self.billing.funds.journal.release()

    def charged(self, record: CallRecord, service: str | None) -> Record:
        """End the hold of a call that was priced, and return what is kept of it."""
        usage, amount, plan = record.usage or _NO_USAGE, record.price, self.plan
        takes: Takes = ()
        overrun = held = 0
        if self.taken is not None:
            takes, overrun = self.taken.close(amount)
            held = self.taken.amount
        cost = self.billing.cost(record, usage, plan, service)
        return Record(
            call_id=record.call_id,
            user_id=record.user_id,
            key_id=record.key_id,
            model=record.model,
            channel_id=record.attempts[-1].channel_id,
            funding=self.source if amount else Funding.HOUSE,
            price=amount,
            # beyond a postpaid user's capped key it is owed all the same
            overrun=0 if self.source is Funding.DUE else overrun,
            cost=cost,
            billing=record.billing,
            takes=takes,
            receipt=_receipt(record, usage, plan.quote, service, held, cost),
        )


def _receipt(  # noqa: PLR0913, PLR0917 - what it is made of
    record: CallRecord, usage: Usage, quote: Quote, service: str | None, hold: Nanos, cost: Nanos
) -> Receipt:
    attempts = record.attempts
    last = attempts[-1]
    answered: tuple[AttemptCost, ...] = (AttemptCost(last.channel, last.status, last.error, cost),)
    if len(attempts) > 1:
        failed = [AttemptCost(one.channel, one.status, one.error) for one in attempts[:-1]]
        answered = (*failed, *answered)
    assert record.outcome is not None, "the outcome is fixed before its price"
    return Receipt(
        dialect=record.dialect,
        stream=record.stream,
        outcome=record.outcome,
        usage=usage,
        usage_source=record.usage_source,
        price_id=quote.price.id,
        hold=hold,
        began=record.began,
        seconds=record.seconds,
        first_byte=record.first_byte,
        multipliers=quote.multipliers,
        service=service,
        policy=record.policy,
        error=record.error,
        attempts=answered,
    )


def _budgets(caller: Principal) -> _Budgets:
    """Return what a caller's calls are paid from, and what else may run out with them."""
    key = _key_budget(caller)
    return key if caller.postpaid else (Budget(BudgetKind.WALLET, caller.user_id), *key)


def _key_budget(caller: Principal) -> _Budgets:
    return (Budget(BudgetKind.KEY, caller.key_id),) if caller.capped else ()
