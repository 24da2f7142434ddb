"""Reading a journal: nothing invented, nothing trusted, nothing taken from the living."""

import random
from zlib import crc32

import pytest

from meterway.ledger.journal import layout
from meterway.ledger.journal.layout import (
    END_MARK,
    HEADER,
    MAGIC,
    MAX_RECORD,
    MOST_CALLS,
    START,
    framed,
)
from meterway.ledger.journal.reader import BEGINNING, JournalReader
from meterway.ledger.journal.types import Cursor
from meterway.ledger.journal.writer import Journal

ZEROS = bytes(1000)


@pytest.fixture
def read(tmp_path):
    """Lay bytes as the first segments of a journal; return what a reader makes of them."""

    def laid(*segments, limit=1000):
        for number, data in enumerate(segments, 1):
            layout.segment_path(tmp_path, number).write_bytes(MAGIC + data)
        reader = JournalReader(tmp_path)
        found = reader.read(limit)
        cursor = reader.cursor
        reader.close()
        return found, cursor

    return laid


def test_torn_last_record_is_not_there_wherever_it_is_torn(read):
    first, torn = framed(b"first"), framed(b"the last one")

    for length in range(len(torn)):
        found, cursor = read(first + torn[:length] + ZEROS)

        assert (found, cursor) == ([b"first"], Cursor(1, START + len(first))), length
    assert read(first + torn + ZEROS)[0] == [b"first", b"the last one"]


def test_record_with_any_bit_changed_is_not_there(read):
    whole = framed(b"a record")

    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        found, cursor = read(bytes(changed) + ZEROS)

        assert (found, cursor) == ([], BEGINNING), bit


@pytest.mark.parametrize("length", [MAX_RECORD + 1, 2**31, 2**32 - 2])
def test_absurd_length_ends_the_reading(read, length):
    assert read(framed(b"a") + HEADER.pack(length, 0) + ZEROS)[0] == [b"a"]


def test_a_limit_counts_calls_and_a_record_is_read_whole(read):
    written = framed(b"five", 5) + framed(b"two", 2) + framed(b"one") + ZEROS

    assert [read(written, limit=limit)[0] for limit in (0, 1, 5, 6, 7, 8, 9)] == [
        [],
        [b"five"],
        [b"five"],
        [b"five", b"two"],
        [b"five", b"two"],
        [b"five", b"two", b"one"],
        [b"five", b"two", b"one"],
    ]


def test_a_record_of_one_call_lies_as_before_there_were_others():
    record = b"of an earlier release"
    length = len(record)

    assert framed(record) == HEADER.pack(length, crc32(record, length)) + record


@pytest.mark.parametrize("calls", [0, MOST_CALLS + 1])
def test_a_record_of_no_or_too_many_calls_is_refused(calls):
    with pytest.raises(ValueError, match="calls"):
        framed(b"a", calls)


def test_a_record_of_the_most_calls_is_no_end_mark(read):
    longest = b"x" * MAX_RECORD

    found, _ = read(framed(longest, MOST_CALLS) + framed(b"b"), limit=MOST_CALLS + 1)

    assert found == [longest, b"b"]


def test_record_beyond_the_end_of_the_file_is_not_there(read):
    assert read(framed(b"a") + framed(b"b" * 100)[:-1])[0] == [b"a"]


def test_end_mark_leads_to_the_next_segment_once_that_is_there(read):
    first, second = framed(b"a") + END_MARK, framed(b"b") + ZEROS

    assert read(first) == ([b"a"], Cursor(2, START))
    assert read(first, second)[0] == [b"a", b"b"]


def test_file_that_is_no_segment_is_not_read(tmp_path):
    layout.segment_path(tmp_path, 1).write_bytes(b"SOMETHNG" + framed(b"a"))
    reader = JournalReader(tmp_path)

    assert reader.read(10) == []


def test_noise_is_never_a_record(read):
    seed = random.randrange(2**32)

    found, _ = read(random.Random(seed).randbytes(200_000))

    assert found == [], seed


def test_limit_is_kept_across_segments(read):
    segments = [framed(b"%d" % i) + END_MARK for i in range(10)]

    assert read(*segments, limit=4)[0] == [b"0", b"1", b"2", b"3"]


def test_many_records_are_read_in_pieces(read):
    records = [b"%d" % i * 500 for i in range(200)]

    assert read(b"".join(map(framed, records)) + ZEROS)[0] == records


def test_record_that_is_being_copied_is_found_later(tmp_path):
    path, record = layout.segment_path(tmp_path, 1), framed(b"a record")
    path.write_bytes(MAGIC + record[:9] + ZEROS)
    reader = JournalReader(tmp_path)
    early = reader.read(10)

    path.write_bytes(MAGIC + record + ZEROS)

    assert (early, reader.read(10)) == ([], [b"a record"])
    reader.close()


def test_journal_is_taken_over_when_its_writer_let_go(tmp_path):
    journal = Journal.open(tmp_path, "w", 100_000)
    reader, rival = JournalReader(tmp_path / "w"), JournalReader(tmp_path / "w")
    alive = reader.take_over()

    journal.close()

    assert (alive, reader.take_over(), reader.is_mine) == (False, True, True)
    assert not rival.take_over()
    reader.remove()
    assert not (tmp_path / "w").exists()


def test_journal_that_is_gone_is_not_taken_over(tmp_path):
    assert not JournalReader(tmp_path / "gone").take_over()


def test_posted_segments_are_deleted_and_others_stay(tmp_path):
    for number in (2, 3, 4):
        layout.segment_path(tmp_path, number).write_bytes(MAGIC + END_MARK)

    JournalReader(tmp_path).drop_posted(Cursor(4, START))

    assert [path.name for path in tmp_path.iterdir()] == ["00000004.segment"]
