"""Accounts, pots and entries as values."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from meterway.kit.money import Nanos


class Kind(StrEnum):
    """What an account of the books is for; the sign is the house's debt to its owner."""

    FREE = "free"  # a user's granted money, spent first
    PAID = "paid"  # a user's own money
    CREDIT = "credit"  # a user's money for one billing channel alone, named by it
    DUE = "due"  # what a postpaid user owes, below zero
    APP = "app"  # what an app earned
    CASH = "cash"  # money that came from outside, below zero
    PROMOTION = "promotion"  # money given away, below zero
    REVENUE = "revenue"  # what calls were charged
    OVERRUN = "overrun"  # what calls cost beyond what their owner had, below zero
    COST = "cost"  # what upstreams cost, below zero; by channel
    PROVIDER = "provider"  # what is owed to upstreams; by channel


class Account(NamedTuple):
    """The key of an account. `owner` is a user, an app or a channel; 0 is the house."""

    kind: Kind
    owner: int = 0
    name: str = ""


class Pots(msgspec.Struct, frozen=True):
    """What one user has."""

    free: Nanos = 0
    paid: Nanos = 0
    due: Nanos = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of money that is no call. Amounts by account add up to nothing.

    `reference` makes it happen once; `reverses` names the call it takes back; `at` is in seconds.
    """

    kind: str
    postings: tuple[tuple[Account, Nanos], ...]
    at: float
    user_id: int | None = None
    reference: str | None = None
    reverses: int | None = None
    reason: str = ""
