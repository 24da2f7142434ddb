"""What the journal keeps of ended calls: a MessagePack array each, or a map of several.

An array is of bounded length. Calls that end in the same turn of the event loop are written as
one, which costs each of them less.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from meterway.ledger.charges.types import Record
from meterway.ledger.journal.layout import MAX_RECORD

_ATTEMPTS_KEPT: Final = 8
_TEXT_KEPT: Final = 255
_TOGETHER: Final = "calls"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record | dict[Literal["calls"], list[Record]]).decode


def decode_records(data: bytes) -> Sequence[Record]:
    """Read back what was written together.

    Raises msgspec's `DecodeError` and `ValidationError`.
    """
    found: Record | dict[str, list[Record]] = _decode(data)
    if isinstance(found, Record):
        return (found,)
    if not found:
        message = "a record of no calls"
        raise msgspec.ValidationError(message)
    return found[_TOGETHER]


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the bytes of calls that are written together.

    Those of several may be more than `MAX_RECORD`, which the journal refuses.
    """
    return encode_record(records[0]) if len(records) == 1 else _encode({_TOGETHER: records})


def encode_record(record: Record) -> bytes:
    """Return one call's bytes, at most `MAX_RECORD`.

    Money is never lost to length: of a record that is too long only the telling texts are cut,
    and of its attempts the last ones kept.
    """
    data = _encode(record)
    return data if len(data) <= MAX_RECORD else _encode(_shortened(record))


def _shortened(record: Record) -> Record:
    receipt = record.receipt
    attempts = tuple(
        msgspec.structs.replace(
            one,
            channel=one.channel[:_TEXT_KEPT],
            error=None if one.error is None else one.error[:_TEXT_KEPT],
        )
        for one in receipt.attempts[-_ATTEMPTS_KEPT:]
    )
    error = None if receipt.error is None else receipt.error[:_TEXT_KEPT]
    shorter = msgspec.structs.replace(receipt, attempts=attempts, error=error)
    return msgspec.structs.replace(
        record,
        receipt=shorter,
        model=record.model[:_TEXT_KEPT],
        billing=record.billing[:_TEXT_KEPT],
    )
