"""The legs of a call: who bears its price, and what that moves in the books."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meterway.kit.ids import moment
from meterway.kit.money import Nanos
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.charges.types import Funding, KeyUse, Record


class Legs(NamedTuple):
    """A price by who bears it."""

    free: Nanos
    paid: Nanos
    credit: Nanos
    due: Nanos
    overrun: Nanos


class Borne(NamedTuple):
    """What the books need to know of a call."""

    user_id: int
    channel_id: int
    billing: str
    price: Nanos
    cost: Nanos
    legs: Legs


def split(records: Iterable[Record], pots: Mapping[int, Pots]) -> list[Legs]:
    """Return the legs of each call, in their order.

    What leases covered comes from the owner: of a wallet the free money first, as far as `pots`
    has any, then the paid. The rest is the house's.
    """
    free = {user_id: max(0, one.free) for user_id, one in pots.items()}
    return [_legs(record, free) for record in records]


def _legs(record: Record, free: dict[int, Nanos]) -> Legs:
    overrun, price = record.overrun, record.price
    covered = price - overrun
    match record.funding:
        case Funding.WALLET:
            granted = min(free.get(record.user_id, 0), covered)
            if granted > 0:
                free[record.user_id] -= granted
                return Legs(granted, covered - granted, 0, 0, overrun)
            return Legs(0, covered, 0, 0, overrun)
        case Funding.CREDIT:
            return Legs(0, 0, covered, 0, overrun)
        case Funding.DUE:
            return Legs(0, 0, 0, covered, overrun)
        case Funding.HOUSE:
            return Legs(0, 0, 0, 0, price)


def deltas(calls: Iterable[Borne]) -> dict[Account, Nanos]:
    """Return what calls move, by account; it adds up to nothing."""
    pots: dict[tuple[Kind, int, str], Nanos] = defaultdict(int)
    costs: dict[int, Nanos] = defaultdict(int)
    overrun = revenue = 0
    for user, channel, billing, price, cost, leg in calls:
        revenue += price
        overrun += leg.overrun
        costs[channel] += cost
        if leg.free:
            pots[Kind.FREE, user, ""] -= leg.free
        if leg.paid:
            pots[Kind.PAID, user, ""] -= leg.paid
        if leg.due:
            pots[Kind.DUE, user, ""] -= leg.due
        if leg.credit:
            pots[Kind.CREDIT, user, billing] -= leg.credit
    moved = {Account(*key): amount for key, amount in pots.items()}
    for channel, cost in costs.items():
        moved[Account(Kind.COST, channel)] = -cost
        moved[Account(Kind.PROVIDER, channel)] = cost
    moved |= {Account(Kind.OVERRUN): -overrun, Account(Kind.REVENUE): revenue}
    return {account: amount for account, amount in moved.items() if amount}


def key_use(records: Iterable[Record]) -> dict[int, KeyUse]:
    """Return what the calls add to the counters of their keys."""
    found: dict[int, KeyUse] = {}
    for record in records:
        calls, fee, last_at = found.get(record.key_id, (0, 0, 0.0))
        at = max(last_at, moment(record.call_id))
        found[record.key_id] = KeyUse(calls + 1, fee + record.price, at)
    return found
