"""Journals of real processes: killed, stopped, forked."""

import os
import random
import resource
import signal
import subprocess
import sys

import pytest

from meterway.ledger.journal.errors import JournalFullError
from meterway.ledger.journal.layout import END_MARK, SLOT, START
from meterway.ledger.journal.reader import JournalReader
from meterway.ledger.journal.writer import Journal

SEGMENT = START + 2 * SLOT + len(END_MARK)
ENDLESS = 10**9


@pytest.fixture
def writer(tmp_path):
    """Start a process that writes the journal `name`; ended at the end."""
    started = []

    def start(name="w", most=ENDLESS, *more):
        command = [sys.executable, "-m", "tests.fakes.journal_writer", tmp_path, name]
        process = subprocess.Popen(
            [*command, str(SEGMENT), str(most), *more], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.communicate()


def _numbers(reader):
    found = []
    for record in reader.read(10**6):
        number = int(record.split()[0])
        assert record == b"%d " % number * (1 + number % 40)
        found.append(number)
    return found


@pytest.mark.parametrize("round_", range(10))
def test_killed_writer_loses_nothing_it_acknowledged(writer, tmp_path, round_):
    process, lines = writer(), random.randint(1, 3000)
    for _ in range(lines):
        process.stdout.readline()

    process.kill()
    acknowledged = lines + len(process.stdout.read().splitlines()[:-1])
    process.wait()

    reader = JournalReader(tmp_path / "w")
    assert reader.take_over(), lines
    found = _numbers(reader)
    assert found == list(range(1, len(found) + 1)), lines
    assert len(found) >= acknowledged, lines
    reader.close()


def test_stopped_writer_is_not_dead_and_goes_on(writer, tmp_path):
    process = writer()
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    reader = JournalReader(tmp_path / "w")

    stopped = reader.take_over()
    process.send_signal(signal.SIGCONT)
    for _ in range(5000):
        process.stdout.readline()

    assert (stopped, reader.take_over()) == (False, False)
    assert len(_numbers(reader)) >= 5000
    reader.close()


def test_reading_while_it_is_written_sees_every_record_once(writer, tmp_path):
    process = writer(most=3000)
    process.stdout.readline()
    reader, found = JournalReader(tmp_path / "w"), []

    while not reader.take_over():
        found += _numbers(reader)
    found += _numbers(reader)

    assert found == list(range(1, 3001))
    reader.close()


def test_forked_child_does_not_keep_its_parents_journal_alive(writer, tmp_path):
    process = writer("w", 3, "fork")
    child = int(process.stdout.readline())
    process.wait()

    reader = JournalReader(tmp_path / "w")
    try:
        assert reader.take_over()
        assert _numbers(reader) == [1, 2, 3]
    finally:
        reader.close()
        os.kill(child, signal.SIGKILL)


def test_process_that_was_started_does_not_keep_a_journal_alive(tmp_path):
    journal = Journal.open(tmp_path, "w", SEGMENT)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        reader = JournalReader(tmp_path / "w")

        journal.close()

        assert reader.take_over()
        reader.close()
        process.communicate(b"\n")


def test_disk_without_room_for_a_segment_is_told(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT - 1, before[1]))

    try:
        with pytest.raises(JournalFullError):
            Journal.open(tmp_path, "w", SEGMENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
