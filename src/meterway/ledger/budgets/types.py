"""Budgets as values."""

from enum import StrEnum
from typing import NamedTuple


class BudgetKind(StrEnum):
    """What can run out."""

    WALLET = "wallet"  # a user's free and paid money, as one number; owner: the user
    CREDIT = "credit"  # a user's money for one billing channel; owner: the user; name: the channel
    KEY = "key"  # what a key may still spend; owner: the key
    CAP = "cap"  # what an app may still charge a user; owner: the consent


class Budget(NamedTuple):
    """The key of a budget."""

    kind: BudgetKind
    owner: int
    name: str = ""
