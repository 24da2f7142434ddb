"""The folder and the socket of a run: cleaned up after the killed, spared where somebody lives."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from meterway.processes.workplace import ListenError, listen, open_workplace

HOLDER = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from meterway.processes.workplace import open_workplace
with open_workplace() as place:
    if len(sys.argv) > 2 and os.fork():
        os.kill(os.getpid(), 9)
    print(place.folder, os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Path(tmp_path)


def hold(folder: Path, *more: str) -> tuple[subprocess.Popen[str], Path, int]:
    """Open a workplace in another process; with "fork" its parent is killed and a child stays."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    place, pid = holder.stdout.readline().split()
    return holder, Path(place), int(pid)


def done(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()


def test_a_workplace_is_private_and_gone_afterwards(folder):
    with open_workplace() as place:
        assert place.figures.is_dir()
        assert place.folder.stat().st_mode & 0o077 == 0
        assert len(str(place.counter)) - len(str(folder)) < 40

    assert list(folder.iterdir()) == []


def test_what_a_killed_gateway_left_is_removed(folder):
    holder, left, _ = hold(folder)
    done(holder)
    assert left.is_dir()

    with open_workplace():
        assert not left.exists()


@pytest.mark.parametrize("more", [(), ("fork",)])
def test_a_living_gateways_folder_is_spared_even_when_only_a_child_lives(folder, more):
    holder, theirs, pid = hold(folder, *more)

    with open_workplace():
        spared = theirs.is_dir()

    os.kill(pid, signal.SIGKILL)
    done(holder)
    assert spared


def test_folders_of_others_are_no_reason_to_fail(folder):
    (folder / "meterway-run-empty").mkdir()

    with open_workplace() as place:
        assert place.folder.is_dir()

    shutil.rmtree(folder / "meterway-run-empty")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_port_0_listens_on_a_free_one(host):
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            assert client.getpeername()[1] == port


def test_an_address_that_is_not_ours_is_said_in_a_sentence():
    with pytest.raises(ListenError, match=r"Cannot listen on 203\.0\.113\.1:8787"):
        listen("203.0.113.1", 8787)


def test_a_name_nobody_knows_is_said_in_a_sentence():
    with pytest.raises(ListenError, match=r"Cannot listen on no\.such\.host\.invalid"):
        listen("no.such.host.invalid", 8787)
