"""A process that writes a journal and says on standard output what it acknowledged.

`python -m tests.fakes.journal_writer FOLDER NAME SEGMENT_BYTES MOST`; with a fifth argument it
forks first, writes, prints the child's id and leaves the child alone with what it inherited.
"""

import os
import signal
import sys
from pathlib import Path

from meterway.ledger.journal.writer import Journal


def main(folder, name, segment_bytes, most, *forks):
    journal = Journal.open(Path(folder), name, int(segment_bytes))
    if forks:
        child = os.fork()
        if not child:
            signal.pause()
        sys.stdout.write(f"{child}\n")
    for number in range(1, int(most) + 1):
        journal.reserve()
        journal.write(b"%d " % number * (1 + number % 40))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main(*sys.argv[1:])
