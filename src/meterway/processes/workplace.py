"""The folder a running gateway's processes share, and the socket they listen on."""

import errno
import fcntl
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from meterway.kit.errors import MeterwayError

_PREFIX = "meterway-run-"
_LOCK = "lock"
_BACKLOG = 2048
_TAKEOVER_SECONDS = 1.0


class ListenError(MeterwayError):
    """The address cannot be listened on."""

    code = "cannot_listen"


class Workplace(msgspec.Struct, frozen=True):
    """Where the processes meet: one socket, the folder of the figures, and what they share."""

    folder: Path

    @property
    def counter(self) -> Path:
        """The counter's Unix socket; its path is short, as the system wants."""
        return self.folder / "counter.sock"

    @property
    def board(self) -> Path:
        """Where workers learn that somebody waits for what they have leased."""
        return self.folder / "recalls"

    @property
    def queue(self) -> Path:
        """Where the backstage process learns that a background job was queued."""
        return self.folder / "queue"

    @property
    def limits(self) -> Path:
        """What counts calls and tokens for all workers."""
        return self.folder / "limits"

    @property
    def figures(self) -> Path:
        """Where each process counts, for `/metrics`."""
        return self.folder / "metrics"


@contextmanager
def open_workplace() -> Iterator[Workplace]:
    """Make a folder for this run and remove it at the end.

    It is locked by the parent and, by inheritance, by every child; a folder that nobody locks is
    what a killed gateway left behind, and is removed here.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            place = Workplace(folder)
            place.figures.mkdir()
            yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or still in use
            if folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host`:`port`; port 0 picks a free one.

    Waits a moment for a predecessor to let go of the address. Raises `ListenError`.
    """
    deadline = time.monotonic() + _TAKEOVER_SECONDS
    while True:
        try:
            return _bound(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ListenError(_cannot(host, port, error)) from None
        time.sleep(0.1)


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _cannot(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use already; end what uses it or choose another with --port."
    return f"Cannot listen on {host}:{port}: {error.strerror or error}."


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us: a stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems name a hard limit they do not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
