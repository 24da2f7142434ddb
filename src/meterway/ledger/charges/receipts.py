"""Receipts as a charge keeps them: arrays of small integers, texts by their numbers.

The array is [format, price id, flags, dialect, outcome, hold, began, seconds, usage, first byte,
billing, multipliers, service, policy, error, attempts], cut behind the last element that says
something. Times are microseconds, `began` after the call id's own moment, the first byte's one more
than they are; `usage` is the classes in their order, cut in the same way; texts are numbers of
names. 0 stands for none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from meterway.kit.ids import moment
from meterway.ledger.charges.types import AttemptCost, Receipt
from meterway.protocols.usage import CLASSES, READ, Usage, UsageSource

_FORMAT: Final = 1
_STREAM: Final = 1
_ESTIMATED: Final = 2
_MICROS: Final = 1_000_000
_LONGEST_NAME: Final = 255
_ATTEMPT: Final = 4
_NOTHING: Final[list[int]] = []

_encode = msgspec.msgpack.Encoder().encode


def kept(text: str) -> str:
    """Return a text as it is kept among the names."""
    return text[:_LONGEST_NAME]


def pack(call_id: int, receipt: Receipt, billing: str, named: Callable[[str], int]) -> bytes:
    """Encode a receipt and the call's billing channel; `named` gives a text's number."""
    usage, multipliers, first_byte = astuple(receipt.usage), receipt.multipliers, receipt.first_byte
    service, policy, error = receipt.service, receipt.policy, receipt.error
    values = [
        _FORMAT,
        receipt.price_id,
        _STREAM * receipt.stream + _ESTIMATED * (receipt.usage_source is UsageSource.ESTIMATED),
        named(receipt.dialect),
        named(receipt.outcome),
        receipt.hold,
        round((receipt.began - moment(call_id)) * _MICROS),
        round(receipt.seconds * _MICROS),
        usage if usage[-1] else _cut(list(usage)),
        0 if first_byte is None else round(first_byte * _MICROS) + 1,
        named(billing) if billing else 0,
        [part for kind, ppm in multipliers.items() for part in (named(kind), ppm)]
        if multipliers
        else _NOTHING,
        named(service) if service else 0,
        named(policy) if policy else 0,
        named(error) if error else 0,
        _attempts(receipt.attempts, named),
    ]
    return _encode(values if values[-1] else _cut(values))


def _attempts(attempts: Iterable[AttemptCost], named: Callable[[str], int]) -> list[list[int]]:
    told: list[list[int]] = []
    for one in attempts:
        error, cost = one.error, one.cost
        values = [named(one.channel), one.status or 0, named(error) if error else 0, cost]
        told.append(values if cost else _cut(values))
    return told


def _cut(values: list[Any]) -> list[Any]:
    while values and not values[-1]:
        values.pop()
    return values


class Packed(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A stored receipt, read and not yet told in texts; `unpack` reads one.

    Its parts are tuples: they are made in half the time of lists.
    """

    form: int
    price_id: int = 0
    flags: int = 0
    dialect: int = 0
    outcome: int = 0
    hold: int = 0
    began: int = 0
    seconds: int = 0
    usage: Annotated[tuple[int, ...], Meta(max_length=len(CLASSES))] = ()
    first_byte: int = 0
    billing_id: int = 0
    multipliers: tuple[int, ...] = ()
    service: int = 0
    policy: int = 0
    error: int = 0
    attempts: tuple[Annotated[tuple[int, ...], Meta(min_length=1, max_length=_ATTEMPT)], ...] = ()

    def names(self) -> Iterator[int]:
        """Yield the number of every name it uses."""
        named = (self.dialect, self.outcome, self.billing_id, self.service, self.policy, self.error)
        yield from (number for number in named if number)
        yield from self.multipliers[::2]
        for attempt in self.attempts:
            yield from (number for number in (attempt[0], *attempt[2:3]) if number)

    def tokens(self) -> tuple[int, int]:
        """Return how many tokens the model read and wrote."""
        return sum(self.usage[:READ]), sum(self.usage[READ:])

    def kind(self) -> tuple[Any, ...]:
        """Return what it has in common with others: all that its names and `terms` come from."""
        return (
            self.price_id,
            self.dialect,
            self.outcome,
            self.billing_id,
            self.multipliers,
            self.service,
            self.policy,
            self.error,
            *[attempt[:3:2] for attempt in self.attempts],
        )

    def billing(self, names: Mapping[int, str]) -> str:
        """Return the call's billing channel, empty for the usual one. Raises `KeyError`."""
        return names[self.billing_id] if self.billing_id else ""

    def receipt(self, call_id: int, names: Mapping[int, str]) -> Receipt:
        """Return the receipt; times are exact to the microsecond. Raises `KeyError`."""
        factors, estimated = self.multipliers, self.flags & _ESTIMATED
        return Receipt(
            dialect=names[self.dialect],
            stream=bool(self.flags & _STREAM),
            outcome=names[self.outcome],
            usage=Usage(**dict(zip(CLASSES, self.usage, strict=False))),
            usage_source=UsageSource.ESTIMATED if estimated else UsageSource.REPORTED,
            price_id=self.price_id,
            hold=self.hold,
            began=moment(call_id) + self.began / _MICROS,
            seconds=self.seconds / _MICROS,
            first_byte=(self.first_byte - 1) / _MICROS if self.first_byte else None,
            multipliers={
                names[kind]: ppm for kind, ppm in zip(factors[::2], factors[1::2], strict=True)
            },
            service=names[self.service] if self.service else None,
            policy=names[self.policy] if self.policy else None,
            error=names[self.error] if self.error else None,
            attempts=tuple(_attempt_of(one, names) for one in self.attempts),
        )


_decode = msgspec.msgpack.Decoder(Packed).decode


def unpack(data: bytes) -> Packed:
    """Read a stored receipt. Raises msgspec's `MsgspecError`."""
    packed = _decode(data)
    if packed.form != _FORMAT or len(packed.multipliers) % 2:
        message = "a receipt of a form that this version does not know"
        raise msgspec.ValidationError(message)
    return packed


def _attempt_of(values: tuple[int, ...], names: Mapping[int, str]) -> AttemptCost:
    channel, status, error, cost = values + (0,) * (_ATTEMPT - len(values))
    return AttemptCost(
        channel=names[channel],
        status=status or None,
        error=names[error] if error else None,
        cost=cost,
    )
