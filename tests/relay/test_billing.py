"""What a call holds, what it is charged, and what the journal keeps of it."""

import asyncio
import json
from types import MappingProxyType

import msgspec
import pytest
from structlog.testing import capture_logs

from meterway.accounts.types import Tier
from meterway.auth.types import Principal
from meterway.catalog.book import Book
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import Kind, Origin, Price, Rates, Tariff
from meterway.kit.errors import UnavailableError
from meterway.kit.json import decode_top
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.ledger.budgets.types import Budget, BudgetKind
from meterway.ledger.charges.records import decode_records
from meterway.ledger.charges.types import Funding, Record
from meterway.ledger.journal import layout
from meterway.ledger.journal.errors import JournalFullError
from meterway.metering.errors import UnpricedServiceError
from meterway.metering.quotes import Pricing
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage, UsageSource
from meterway.relay.billing import Billing
from meterway.relay.pipeline import relay as serve
from meterway.routing.router import ModelNotFoundError, Terms
from tests.factories.relays import CALLER, Relay
from tests.fakes.transport import stream, whole

RATES = Rates(input=2_000_000_000, output=10_000_000_000)  # 2 and 10 dollars a million
PRICE = Price(
    id=5,
    model="m",
    effective_at=0.0,
    tariff=Tariff(rates=RATES, services={"priority": 2_000_000}),
    origin=Origin.SEED,
    source="test",
)
ASK = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
REPLY = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hey"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}
NOW = 1_800_000_000.0  # when a fake clock begins
COST = 11 * 2_000 + 7 * 10_000
PREPAID = msgspec.structs.replace(CALLER, postpaid=False)


class Hold:
    """A hold of a purse that has plenty, or covers only so much."""

    def __init__(self, purse: "FakePurse", amount: int) -> None:
        self.purse, self.amount = purse, amount

    def close(self, spent: int):
        self.purse.ended.append(spent)
        covered = min(spent, self.purse.covers)
        return ((1, covered),), spent - covered

    def release(self) -> None:
        self.purse.ended.append(None)


class FakePurse:
    """Keeps what was asked of it: what it held, and what it was to borrow.

    `empty` budgets have nothing; `refusal` is raised by `borrow`.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[tuple[Budget, ...], int]] = []
        self.ended: list[int | None] = []
        self.borrowed: list[tuple[Budget, ...]] = []
        self.empty: set[Budget] = set()
        self.covers = 10**18
        self.warm = True
        self.refusal: Exception | None = None

    def take(self, budgets, amount):
        ready = self.warm and not self.empty.intersection(budgets)
        return self._hold(budgets, amount) if ready else None

    async def borrow(self, budgets, amount):
        await asyncio.sleep(0)
        self.borrowed.append(budgets)
        if self.empty.intersection(budgets):
            raise InsufficientBalanceError("Top it up.")
        if self.refusal is not None:
            raise self.refusal
        return self._hold(budgets, amount)

    def _hold(self, budgets, amount) -> Hold:
        self.taken.append((budgets, amount))
        return Hold(self, amount)


class FakeJournal:
    """Room for so many records."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.reserved = self.written = 0
        self.full = False

    def reserve(self) -> None:
        if self.full:
            raise JournalFullError("The disk is full.", retry_after=5.0)
        self.reserved += 1

    def write(self, record: bytes, calls: int = 1) -> None:
        found = decode_records(layout.framed(record, calls)[layout.HEADER.size :])
        assert len(found) == calls
        self.reserved -= calls
        self.written += 1
        self.records += found

    def release(self) -> None:
        self.reserved -= 1


class Shop:
    """A relay that bills."""

    def __init__(
        self,
        *answers,
        free=False,
        prices=(PRICE,),
        multipliers=MappingProxyType({}),
        gathers=False,
    ) -> None:
        self.purse, self.journal = FakePurse(), FakeJournal()
        self.billing_channel = ""
        catalog = Catalog([])
        self.pricing, self.free = Pricing(catalog, Book(prices, multipliers)), free
        self.billing = Billing(
            catalog,
            self.pricing,
            self,
            lambda model: Terms(model, self.free),
            gathers=gathers,
        )
        self.relay = Relay(*answers, billing=self.billing)
        self.sales = 0

    async def sell(self, ask: dict[str, object] | None = None, caller: Principal = PREPAID):
        body = decode_top(json.dumps(ask or ASK).encode())
        id_, self.sales = 9 + self.sales, self.sales + 1
        call = Call(id_, CODECS[Dialect.OPENAI_CHAT], body, billing=self.billing_channel)
        return await serve(call, caller, self.relay.gate)

    async def sold(self, ask: dict[str, object] | None = None, caller: Principal = PREPAID):
        async with await self.sell(ask, caller) as reply:
            async for _ in reply.rest():
                pass

    @property
    def record(self) -> Record:
        (record,) = self.journal.records
        assert self.journal.reserved == 0
        return record


async def test_a_call_is_charged_what_it_used_from_the_wallet():
    shop = Shop(whole(REPLY))

    await shop.sold()

    record = shop.record
    assert (record.call_id, record.user_id, record.key_id, record.model) == (9, 3, 7, "m")
    assert (record.price, record.funding, record.takes) == (COST, Funding.WALLET, ((1, COST),))
    assert record.overrun == 0
    assert record.receipt.price_id == 5
    assert record.receipt.usage == Usage(input=11, output=7)
    assert shop.relay.records[0].price == COST


async def test_the_hold_covers_the_worst_case_of_wallet_and_capped_key():
    shop = Shop(whole(REPLY))

    await shop.sold(caller=msgspec.structs.replace(PREPAID, capped=True))

    ((budgets, amount),) = shop.purse.taken
    assert budgets == (Budget(BudgetKind.WALLET, 3), Budget(BudgetKind.KEY, 7))
    assert 100 * 10_000 < amount < 100 * 10_000 + 100 * 2_000
    assert shop.record.receipt.hold == amount


async def test_a_postpaid_user_owes_without_a_hold():
    shop = Shop(whole(REPLY))

    await shop.sold(caller=CALLER)

    assert shop.purse.taken == []
    assert (shop.record.funding, shop.record.price, shop.record.takes) == (Funding.DUE, COST, ())


async def test_beyond_a_postpaid_users_capped_key_it_is_owed_all_the_same():
    shop = Shop(whole(REPLY))
    shop.purse.covers = 1

    await shop.sold(caller=msgspec.structs.replace(CALLER, capped=True))

    assert (shop.record.funding, shop.record.overrun) == (Funding.DUE, 0)


async def test_what_the_lease_does_not_cover_is_the_houses():
    shop = Shop(whole(REPLY))
    shop.purse.covers = COST - 5

    await shop.sold()

    assert (shop.record.overrun, shop.record.takes) == (5, ((1, COST - 5),))


async def test_a_service_tier_multiplies_and_one_without_a_price_is_refused():
    shop = Shop(whole({**REPLY, "service_tier": "priority"}))

    await shop.sold({**ASK, "service_tier": "priority"})
    with pytest.raises(UnpricedServiceError):
        await shop.sell({**ASK, "service_tier": "flex"})

    assert shop.record.price == 2 * COST
    assert shop.record.receipt.service == "priority"


async def test_a_model_without_a_price_is_not_there():
    shop = Shop(prices=())

    with pytest.raises(ModelNotFoundError):
        await shop.sell()

    assert shop.relay.transport.sent == []
    assert shop.journal.reserved == 0


async def test_a_new_price_book_counts_for_the_next_call():
    shop = Shop(whole(REPLY), whole(REPLY))
    await shop.sold()
    dearer = Tariff(rates=Rates(input=4_000_000_000, output=20_000_000_000))

    shop.pricing.replace(Book((msgspec.structs.replace(PRICE, id=6, tariff=dearer),)))
    await shop.sold()

    assert [record.price for record in shop.journal.records] == [COST, 2 * COST]


async def test_a_price_counts_from_its_moment_on():
    later = msgspec.structs.replace(
        PRICE,
        id=6,
        effective_at=NOW + 60,
        tariff=Tariff(rates=Rates(input=1_000_000, output=1_000_000)),
    )
    shop = Shop(whole(REPLY), whole(REPLY), prices=(PRICE, later))
    await shop.sold()

    shop.relay.clock.advance(60)
    await shop.sold()

    assert [record.price for record in shop.journal.records] == [COST, 18]


async def test_a_membership_that_ends_takes_its_multiplier_along():
    half = {(Kind.TIER, "vip"): 500_000}
    shop = Shop(whole(REPLY), whole(REPLY), multipliers=half)
    member = msgspec.structs.replace(PREPAID, tier=Tier.VIP, tier_expires_at=NOW + 60)
    await shop.sold(caller=member)

    shop.relay.clock.advance(60)
    await shop.sold(caller=member)

    assert [record.price for record in shop.journal.records] == [COST // 2, COST]


async def test_what_a_model_is_priced_as_is_asked_anew_once_it_is_forgotten():
    shop = Shop(whole(REPLY), whole(REPLY))
    await shop.sold()
    shop.free = True

    shop.billing.forget()
    await shop.sold()

    assert [record.price for record in shop.journal.records] == [COST, 0]


async def test_what_is_free_is_kept_at_a_price_of_nothing():
    shop = Shop(whole(REPLY), free=True, prices=())

    await shop.sold()

    assert shop.purse.taken == []
    assert (shop.record.funding, shop.record.price) == (Funding.HOUSE, 0)


async def test_without_a_balance_nothing_is_sent_and_nothing_kept():
    shop = Shop(whole(REPLY))
    shop.purse.warm, shop.purse.refusal = False, InsufficientBalanceError("Top it up.")

    with pytest.raises(InsufficientBalanceError):
        await shop.sell()

    assert shop.relay.transport.sent == []
    assert (shop.journal.reserved, shop.journal.records) == (0, [])


async def test_a_full_disk_refuses_before_the_upstream_works():
    shop = Shop(whole(REPLY))
    shop.journal.full = True

    with pytest.raises(UnavailableError) as caught:
        await shop.sell()

    assert caught.value.retry_after == 5.0
    assert shop.relay.transport.sent == []
    assert shop.purse.taken == []


async def test_a_call_cancelled_while_it_borrows_keeps_no_room():
    shop = Shop(whole(REPLY))
    shop.purse.warm = False
    selling = asyncio.create_task(shop.sell())
    await asyncio.sleep(0)

    selling.cancel()
    await asyncio.wait([selling])

    assert (shop.journal.reserved, shop.purse.taken) == (0, [])


async def test_an_upstreams_failure_is_free_and_lets_everything_go():
    shop = Shop(whole({"error": {"message": "no"}}, 400))

    with pytest.raises(Exception, match="no"):
        await shop.sell()

    assert shop.purse.ended == [None]
    assert (shop.journal.reserved, shop.journal.records) == (0, [])


def _chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


async def test_a_client_who_leaves_a_stream_pays_what_came_and_the_receipt_says_so():
    shop = Shop(stream(_chunk("x" * 70), _chunk("y" * 70), b"data: [DONE]\n\n"))

    async with await shop.sell({**ASK, "stream": True}) as reply:
        reply.abandon()

    receipt = shop.record.receipt
    assert (receipt.policy, receipt.usage_source) == ("cut", UsageSource.ESTIMATED)
    assert receipt.usage.output == 20
    assert shop.record.price == receipt.usage.input * 2_000 + 20 * 10_000


async def test_every_attempt_is_on_the_receipt_and_one_is_charged():
    shop = Shop(whole({"error": {"message": "busy"}}, 503), whole(REPLY))

    await shop.sold()

    attempts = shop.record.receipt.attempts
    assert [(one.status, one.error is not None, one.cost) for one in attempts] == [
        (503, True, 0),
        (None, False, COST),
    ]
    assert (shop.record.cost, shop.record.price) == (COST, COST)


CREDIT = Budget(BudgetKind.CREDIT, 3, "cc-omg")
WALLET = Budget(BudgetKind.WALLET, 3)


def channel_shop(*answers) -> Shop:
    shop = Shop(*answers, multipliers={(Kind.BILLING, "cc-omg"): 500_000})
    shop.billing_channel = "cc-omg"
    return shop


async def test_a_billing_channels_credit_pays_first_at_its_own_multiplier():
    shop = channel_shop(whole(REPLY))

    await shop.sold(caller=msgspec.structs.replace(PREPAID, capped=True))

    record = shop.record
    assert [budgets for budgets, _ in shop.purse.taken] == [(CREDIT, Budget(BudgetKind.KEY, 7))]
    assert (record.funding, record.billing, record.price) == (Funding.CREDIT, "cc-omg", COST // 2)
    assert record.receipt.multipliers == {"billing": 500_000}


async def test_without_a_credit_the_wallet_pays_and_the_database_is_not_asked_again():
    shop = channel_shop(*[whole(REPLY)] * 3)
    shop.purse.empty = {CREDIT}

    await shop.sold()
    await shop.sold()
    asked = list(shop.purse.borrowed)
    shop.relay.clock.advance(2.0)
    await shop.sold()

    assert asked == [(CREDIT,)]
    assert shop.purse.borrowed == [(CREDIT,)] * 2
    assert {record.funding for record in shop.journal.records} == {Funding.WALLET}
    assert {record.billing for record in shop.journal.records} == {"cc-omg"}


async def test_a_credit_too_small_for_one_call_serves_a_smaller_one():
    shop = channel_shop(whole(REPLY), whole(REPLY))
    shop.purse.empty = {CREDIT}
    await shop.sold()
    shop.purse.empty = set()

    await shop.sold({**ASK, "max_tokens": 50})

    assert [one.funding for one in shop.journal.records] == [Funding.WALLET, Funding.CREDIT]


async def test_a_postpaid_users_credit_pays_before_the_user_owes():
    shop = channel_shop(whole(REPLY), whole(REPLY))

    await shop.sold(caller=CALLER)
    shop.purse.empty = {CREDIT}
    await shop.sold(caller=CALLER)

    assert [one.funding for one in shop.journal.records] == [Funding.CREDIT, Funding.DUE]


async def test_where_credit_and_wallet_are_empty_the_wallets_refusal_is_told():
    shop = channel_shop(whole(REPLY))
    shop.purse.empty = {CREDIT, WALLET}

    with pytest.raises(InsufficientBalanceError):
        await shop.sold()

    assert shop.purse.borrowed == [(CREDIT,), (WALLET,)]
    assert shop.journal.reserved == 0


async def test_a_credit_is_no_matter_of_calls_by_the_usual_way():
    shop = channel_shop(whole(REPLY))
    shop.billing_channel = ""

    await shop.sold()

    assert [budgets for budgets, _ in shop.purse.taken] == [(WALLET,)]
    assert (shop.record.price, shop.record.billing) == (COST, "")


async def test_gathered_calls_are_priced_at_once_and_written_down_when_told():
    shop = Shop(whole(REPLY), whole(REPLY), gathers=True)

    await shop.sold()
    await shop.sold()
    before = list(shop.journal.records)
    shop.billing.write_down()

    assert [record.price for record in shop.relay.records] == [COST, COST]
    assert before == []
    assert [record.price for record in shop.journal.records] == [COST, COST]
    assert (shop.journal.reserved, shop.purse.ended) == (0, [COST, COST])


async def test_what_nobody_asks_for_is_written_down_in_the_next_turn():
    shop = Shop(whole(REPLY), gathers=True)
    await shop.sold()

    await asyncio.sleep(0)

    assert shop.record.price == COST


async def test_calls_that_end_together_are_written_as_one_record():
    shop = Shop(*[whole(REPLY)] * 3, gathers=True)
    for _ in range(3):
        await shop.sold()

    shop.billing.write_down()

    ids = [record.call_id for record in shop.relay.records]
    assert [record.call_id for record in shop.journal.records] == ids
    assert (shop.journal.written, shop.journal.reserved) == (1, 0)


async def test_calls_that_are_too_long_together_are_written_apart():
    calls = 63
    shop = Shop(*[whole(REPLY)] * calls, gathers=True)
    for _ in range(calls):
        await shop.sold()

    shop.billing.write_down()

    assert [record.call_id for record in shop.journal.records] == list(range(9, 9 + calls))
    assert (shop.journal.written, shop.journal.reserved) == (2, 0)


@pytest.mark.parametrize("broken", range(3))
async def test_a_call_that_cannot_be_journalled_is_told_and_costs_no_other_its_record(broken):
    shop = Shop(*[whole(REPLY)] * 3, gathers=True)
    for _ in range(3):
        await shop.sold()
    records = shop.relay.records
    records[broken].seconds = 2**70  # MessagePack has no such number

    with capture_logs() as events:
        shop.billing.write_down()

    told = [event["call_id"] for event in events if event["event"] == "call.not_journalled"]
    kept = [record.call_id for record in records if record is not records[broken]]
    assert told == [records[broken].call_id]
    assert [record.call_id for record in shop.journal.records] == kept
    assert shop.journal.reserved == 0
