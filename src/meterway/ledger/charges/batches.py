"""A batch of calls as it is posted: the rows of its charges, and what alike ones add up to."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import astuple

from meterway.db.rows import Values
from meterway.kit.ids import day, moment
from meterway.kit.money import Nanos
from meterway.ledger.charges import receipts
from meterway.ledger.charges.legs import Borne, Legs, Split
from meterway.ledger.charges.types import KeyUse, Record
from meterway.protocols.usage import Usage

_CLASSES = Usage.__struct_fields__


class Alike(NamedTuple):
    """The sums of calls that have all in common but amounts and usage.

    `model_id` is the number of the model's name, `day` counts whole days since the epoch (UTC),
    `last` is the youngest call's id.
    """

    user_id: int
    key_id: int
    model_id: int
    channel_id: int
    billing: str
    day: int
    calls: int
    last: int
    price: Nanos
    legs: Legs
    cost: Nanos
    usage: Usage

    def borne(self) -> Borne:
        """Return what the books need to know."""
        return Borne(self.user_id, self.channel_id, self.billing, self.price, self.cost, self.legs)

    def usage_day(self) -> Values:
        """Return what is added to `usage_days`, in the order of its columns."""
        tokens = (self.usage.total_input, self.usage.total_output)
        return (self.user_id, self.day, self.key_id, self.model_id, self.calls, *tokens, self.price)


def rows(
    records: Iterable[Record], split: Iterable[Split], batch: int, named: Callable[[str], int]
) -> list[Values]:
    """Return the charges of calls as they are stored, in their order.

    Receipts are bytearrays: for bytes `sqlite3` looks for an adapter, a fifth of an insert's time.
    """
    pack = receipts.pack
    return [
        (
            one.call_id,
            one.user_id,
            one.key_id,
            named(one.model),
            one.channel_id,
            batch,
            one.price,
            *legs,
            one.cost,
            bytearray(pack(one.call_id, one.receipt, one.billing, named)),
        )
        for one, legs in zip(records, split, strict=True)
    ]


def added_up(records: Iterable[Record], charged: Iterable[Values]) -> list[Alike]:
    """Add calls up where they are alike; `charged` are their `rows`."""
    found: defaultdict[Values, list[Values]] = defaultdict(list)
    for record, row in zip(records, charged, strict=True):
        alike = found[*row[1:5], record.billing, day(row[0])]
        alike.append((row[0], *row[6:13], *astuple(record.receipt.usage)))
    return [_alike(facts, lines) for facts, lines in sorted(found.items())]


def _alike(facts: Values, lines: Sequence[Values]) -> Alike:
    user_id, key_id, model_id, channel_id, billing, on = facts
    ids, *amounts = zip(*lines, strict=True)  # by columns a sum is one call each
    price, free, paid, credit, due, overrun, cost, *tokens = map(sum, amounts)
    return Alike(
        user_id=user_id,
        key_id=key_id,
        model_id=model_id,
        channel_id=channel_id,
        billing=billing,
        day=on,
        calls=len(ids),
        last=max(ids),
        price=price,
        legs=Legs(free, paid, credit, due, overrun),
        cost=cost,
        usage=Usage(**dict(zip(_CLASSES, tokens, strict=True))),
    )


def key_use(sums: Iterable[Alike]) -> dict[int, KeyUse]:
    """Return what the calls add to the counters of their keys."""
    found: dict[int, KeyUse] = {}
    for one in sums:
        calls, fee, last_at = found.get(one.key_id, (0, 0, 0.0))
        at = max(last_at, moment(one.last))
        found[one.key_id] = KeyUse(calls + one.calls, fee + one.price, at)
    return found
