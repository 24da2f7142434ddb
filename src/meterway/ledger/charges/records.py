"""The journal's record of an ended call: a MessagePack map, of bounded length."""

from typing import Final

import msgspec

from meterway.ledger.charges.types import Record
from meterway.ledger.journal.layout import MAX_RECORD

_ATTEMPTS_KEPT: Final = 8
_TEXT_KEPT: Final = 255

_encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
"""Read a record back. Raises msgspec's `DecodeError` and `ValidationError`."""


def encode_record(record: Record) -> bytes:
    """Return a record's bytes, at most `MAX_RECORD`.

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
