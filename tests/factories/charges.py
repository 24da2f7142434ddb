"""Records of ended calls as tests need them."""

import itertools
from typing import Any

from meterway.kit.ids import first_id
from meterway.ledger.charges.types import AttemptCost, Funding, Receipt, Record
from meterway.protocols.usage import Usage, UsageSource

AT = 1_800_000_000.0
_numbers = itertools.count()


def new_receipt(**facts):
    """A receipt of a usual streamed call."""
    usual: dict[str, Any] = {
        "dialect": "anthropic",
        "stream": True,
        "outcome": "ok",
        "usage": Usage(input=812, cache_read=12_000, output=233),
        "usage_source": UsageSource.REPORTED,
        "price_id": 88,
        "hold": 31_000_000,
        "began": AT,
        "seconds": 3.211_934,
        "first_byte": 0.402_011,
        "multipliers": {"model": 1_100_000},
        "attempts": (AttemptCost(channel="main", status=200, cost=812_345),),
    }
    return Receipt(**usual | facts)


def new_record(*, at=AT, receipt=None, **facts):
    """A record of a usual call made at `at`; call ids follow one another."""
    usual: dict[str, Any] = {
        "call_id": first_id(at) + next(_numbers),
        "user_id": 7,
        "key_id": 70,
        "model": "claude-sonnet-4-5",
        "channel_id": 3,
        "funding": Funding.WALLET,
        "price": 1_234_567,
        "cost": 812_345,
    }
    return Record(receipt=receipt or new_receipt(began=at), **usual | facts)
