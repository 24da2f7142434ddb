"""What is kept of an ended call: the journal's record, its charge, and its receipt."""

from enum import StrEnum

import msgspec

from meterway.kit.money import Nanos
from meterway.protocols.usage import Usage, UsageSource


class Funding(StrEnum):
    """Who pays for a call."""

    WALLET = "wallet"  # free money first, then paid
    CREDIT = "credit"  # money for the call's billing channel
    DUE = "due"  # a postpaid user, later
    HOUSE = "house"  # nobody: a price of nothing


class AttemptCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt as the receipt tells it; `error` is a code, `cost` what it cost us."""

    channel: str
    status: int | None = None
    error: str | None = None
    cost: Nanos = 0


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
