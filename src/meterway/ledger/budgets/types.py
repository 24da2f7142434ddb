"""Budgets as values."""

from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

from meterway.kit.money import Nanos


class BudgetKind(StrEnum):
    """What can run out."""

    __hash__ = str.__hash__  # Enum's own is slow, and every hold looks its budgets up

    WALLET = "wallet"  # a user's free and paid money, as one number; owner: the user
    CREDIT = "credit"  # a user's money for one billing channel; owner: the user; name: the channel
    KEY = "key"  # what a key may still spend; owner: the key
    CAP = "cap"  # what an app may still charge a user; owner: the consent


class Budget(NamedTuple):
    """The key of a budget."""

    kind: BudgetKind
    owner: int
    name: str = ""


Takes: TypeAlias = tuple[tuple[int, Nanos], ...]
"""What leases covered of a call: budget ids and amounts."""


class Want(NamedTuple):
    """What a lease asks of a budget: at least `need`, and a `slice` where there is plenty."""

    budget: Budget
    need: Nanos
    slice: Nanos


class Share(NamedTuple):
    """What a lease got of a budget: `granted`, and what is left for anybody.

    `elsewhere` is what other workers may still spend of it, told where nothing was granted.
    """

    budget_id: int
    granted: Nanos
    available: Nanos
    elsewhere: Nanos | None = None


class Refundable(msgspec.Struct, frozen=True, kw_only=True):
    """Who paid how much of a call; `billing` names the billing channel of its credit."""

    call_id: int
    user_id: int
    free: Nanos = 0
    paid: Nanos = 0
    credit: Nanos = 0
    due: Nanos = 0
    billing: str = ""
