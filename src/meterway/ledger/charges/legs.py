"""The legs of a call: who bears its price, and what that moves in the books."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from meterway.kit.money import Nanos
from meterway.ledger.books.types import Account, Kind, Pots
from meterway.ledger.charges.types import Funding, Record


class Legs(NamedTuple):
    """A price by who bears it."""

    free: Nanos
    paid: Nanos
    credit: Nanos
    due: Nanos
    overrun: Nanos


Split: TypeAlias = tuple[Nanos, Nanos, Nanos, Nanos, Nanos]
"""`Legs` without their names, which cost more than the rest of a call's split."""


class Borne(NamedTuple):
    """What the books need to know of a call, or of calls that differ in amounts alone."""

    user_id: int
    channel_id: int
    billing: str
    price: Nanos
    cost: Nanos
    legs: Split


def split(records: Iterable[Record], pots: Mapping[int, Pots]) -> list[Split]:
    """Return the legs of each call, in their order.

    What leases covered comes from the owner: of a wallet the free money first, as far as `pots`
    has any, then the paid. The rest is the house's.
    """
    free = {user_id: one.free for user_id, one in pots.items() if one.free > 0}
    return [_legs(record, free) for record in records]


def _legs(record: Record, free: dict[int, Nanos]) -> Split:
    overrun, price = record.overrun, record.price
    covered = price - overrun
    match record.funding:
        case Funding.WALLET:
            if (left := free.get(record.user_id)) is None:
                return (0, covered, 0, 0, overrun)
            granted = min(left, covered)
            free[record.user_id] = left - granted
            return (granted, covered - granted, 0, 0, overrun)
        case Funding.CREDIT:
            return (0, 0, covered, 0, overrun)
        case Funding.DUE:
            return (0, 0, 0, covered, overrun)
        case Funding.HOUSE:
            return (0, 0, 0, 0, price)


def deltas(calls: Iterable[Borne]) -> dict[Account, Nanos]:
    """Return what calls move, by account; it adds up to nothing."""
    pots: dict[tuple[Kind, int, str], Nanos] = defaultdict(int)
    costs: dict[int, Nanos] = defaultdict(int)
    overrun = revenue = 0
    for user, channel, billing, price, cost, (free, paid, credit, due, late) in calls:
        revenue += price
        overrun += late
        costs[channel] += cost
        if free:
            pots[Kind.FREE, user, ""] -= free
        if paid:
            pots[Kind.PAID, user, ""] -= paid
        if due:
            pots[Kind.DUE, user, ""] -= due
        if credit:
            pots[Kind.CREDIT, user, billing] -= credit
    moved = {Account(*key): amount for key, amount in pots.items()}
    for channel, cost in costs.items():
        moved[Account(Kind.COST, channel)] = -cost
        moved[Account(Kind.PROVIDER, channel)] = cost
    moved |= {Account(Kind.OVERRUN): -overrun, Account(Kind.REVENUE): revenue}
    return {account: amount for account, amount in moved.items() if amount}
