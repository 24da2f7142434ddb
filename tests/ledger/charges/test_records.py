"""Records: what a worker writes is what the settler reads, and never too long."""

import msgspec
import pytest

from meterway.ledger.charges.records import decode_records, encode_record, encode_records
from meterway.ledger.charges.types import AttemptCost
from meterway.ledger.journal.layout import MAX_RECORD
from tests.factories.charges import new_receipt, new_record


def test_record_is_read_as_it_was_written():
    record = new_record(overrun=5, billing="codex", takes=((1, 20), (3, 20)))

    assert decode_records(encode_record(record)) == (record,)


@pytest.mark.parametrize("count", [1, 2, 20])
def test_records_written_together_are_read_in_their_order(count):
    records = [new_record(price=i) for i in range(count)]

    assert list(decode_records(encode_records(records))) == records


def test_record_that_is_too_long_keeps_its_money():
    attempts = tuple(AttemptCost(channel="c" * 900, error="e" * 900, cost=i) for i in range(30))
    record = new_record(
        model="m" * 9000, takes=((1, 20),), receipt=new_receipt(attempts=attempts, error="x" * 9000)
    )

    data = encode_record(record)
    (found,) = decode_records(data)

    assert len(data) <= MAX_RECORD
    assert (found.price, found.cost, found.takes) == (record.price, record.cost, record.takes)
    assert [one.cost for one in found.receipt.attempts] == list(range(22, 30))
    assert found.receipt.usage == record.receipt.usage


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xc1", b"\x90", b"\x81\xa5calls\x05", b"not a record"]
)
def test_what_is_no_record_is_refused(data):
    with pytest.raises(msgspec.MsgspecError):
        decode_records(data)
