"""What is kept of an ended call: the journal's record, its charge, its receipt, and sums."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from meterway.kit.money import Nanos
from meterway.ledger.books.types import Account
from meterway.protocols.usage import Usage, UsageSource


class Funding(StrEnum):
    """Who pays for a call."""

    WALLET = "wallet"  # free money first, then paid
    CREDIT = "credit"  # money for the call's billing channel
    DUE = "due"  # a postpaid user, later
    HOUSE = "house"  # nobody: a price of nothing


class AttemptCost(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt as the receipt tells it; `error` is a code, `cost` what it cost us."""

    channel: str
    status: int | None = None
    error: str | None = None
    cost: Nanos = 0


class Terms(NamedTuple):
    """What a price comes from besides the usage, as `Receipt` tells it; multipliers alone."""

    price_id: int
    multipliers: tuple[int, ...]
    service: str | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """How a price came about, in enough detail to compute it again. Times in seconds.

    `price_id` is the row of the price book, `tariff_model` the model it prices; `multipliers` are
    millionths by kind (`model`, `tier`, `billing`), only those that differ from the list price;
    `service` the service tier priced, None for the usual one. `policy` says how the usage was
    come by where the reply did not end of itself (`drained`, `cut`, `upstream_cut`).
    """

    dialect: str
    stream: bool
    outcome: str
    usage: Usage
    usage_source: UsageSource
    price_id: int
    hold: Nanos
    began: float
    seconds: float
    first_byte: float | None = None
    multipliers: dict[str, int] = {}
    service: str | None = None
    policy: str | None = None
    error: str | None = None
    attempts: tuple[AttemptCost, ...] = ()

    @property
    def terms(self) -> Terms:
        """What its price comes from besides the usage."""
        return Terms(self.price_id, tuple(self.multipliers.values()), self.service)


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What the journal keeps of one ended call, before its last byte leaves.

    `takes` are (budget id, amount) by lease; the amounts are those the leases covered.
    `overrun` is the part of `price` that no lease covered; the house bears it. `billing` is the
    billing channel, empty for the usual one. `cost` is what the answering channel costs us.
    """

    call_id: int
    user_id: int
    key_id: int
    model: str
    channel_id: int
    funding: Funding
    price: Nanos
    receipt: Receipt
    overrun: Nanos = 0
    cost: Nanos = 0
    billing: str = ""
    takes: tuple[tuple[int, Nanos], ...] = ()


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """An ended call as it was posted. price = free + paid + credit + due + overrun.

    `batch` is the number of the seal that covers it.
    """

    call_id: int
    user_id: int
    key_id: int
    model: str
    channel_id: int
    batch: int
    price: Nanos
    free: Nanos
    paid: Nanos
    credit: Nanos
    due: Nanos
    overrun: Nanos
    cost: Nanos
    billing: str
    receipt: Receipt


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of a user are asked for; moments in seconds, `until` excluded."""

    model: str | None = None
    key_id: int | None = None
    since: float | None = None
    until: float | None = None


class By(StrEnum):
    """What sums are made by."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What a user's calls add up to.

    `of` is a day (whole days since the epoch, UTC), a model's name or a key's number.
    """

    of: int | str
    calls: int
    input_tokens: int
    output_tokens: int
    price: Nanos


class KeyUse(NamedTuple):
    """What a batch adds to a key's counters; `last_at` in seconds, of its youngest call."""

    calls: int
    fee: Nanos
    last_at: float


class Posted(msgspec.Struct, frozen=True):
    """What posting a batch of charges asks of others: movements by account, and by key.

    `digest` covers the charges, `count` says how many there are.
    """

    count: int
    digest: bytes
    deltas: dict[Account, Nanos]
    keys: dict[int, KeyUse]
