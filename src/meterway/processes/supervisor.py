"""The parent: starts the processes of a gateway, restarts those that die, and ends them in order.

It is synchronous, has no thread and no event loop, so that forking is safe at any time.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import structlog

from meterway.processes import child

_log = structlog.get_logger()
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_CAUGHT = _STOPS | {signal.SIGCHLD}
_FOREVER = 3600.0


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep alive: its unique name and its work.

    When `essential` it may fail at its start only so often before everything ends. At the end the
    roles with `last` are told after all others are gone, since those still need them.
    """

    name: str
    work: Callable[[], None]
    essential: bool = True
    last: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When to restart and when to stop trying; times in seconds.

    A process that lived for `settled` has started well. `grace` is how long each of the two
    stages of the end may take.
    """

    first_pause: float = 0.1
    longest_pause: float = 10.0
    settled: float = 10.0
    most_failures: int = 5
    grace: float = 35.0


class _Post:
    """A role and the process that fills it at the moment."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.pid: int | None = None
        self.started = 0.0
        self.failures = 0
        self.due = 0.0


class Supervisor:
    """Runs `roles` until a signal says stop; `wake` is what `caught_signals` yields.

    `ended` hears the name of each process that ends; `stopping` is called when the end begins.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        policy: Policy,
        wake: socket.socket,
        *,
        ended: Callable[[str], None],
        stopping: Callable[[], None],
    ) -> None:
        self._posts = [_Post(role) for role in roles]
        self._policy = policy
        self._wake = wake
        self._ended = ended
        self._tell_stopping = stopping
        self._stopping = False
        self._told = False
        self._deadline = float("inf")
        self._status = 0

    def run(self) -> int:
        """Keep the roles filled; return the exit status once told to stop and all have ended."""
        while not (self._stopping and all(post.pid is None for post in self._posts)):
            self._fill()
            for number in _signals(self._wake, self._patience()):
                if number in _STOPS:
                    self._stop(number)
            self._reap()
            self._press()
        return self._status

    # -- living --------------------------------------------------------------------------------

    def _fill(self) -> None:
        now = time.monotonic()
        for post in self._posts:
            if post.pid is None and post.due <= now and not self._stopping:
                post.started = now
                post.pid = self._fork(post.role)

    def _fork(self, role: Role) -> int:
        """Fork with signals held back: one for the child must not be taken for the parent's."""
        parent = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
        try:
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                child.run(role.name, role.work, parent, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _log.debug("process.started", process=role.name, pid=pid)
        return pid

    def _reap(self) -> None:
        for post in self._posts:
            if post.pid is None:
                continue
            pid, status = os.waitpid(post.pid, os.WNOHANG)
            if pid:
                post.pid = None
                self._ended(post.role.name)
                self._judge(post, os.waitstatus_to_exitcode(status))

    def _judge(self, post: _Post, exit_code: int) -> None:
        """Decide when a role whose process ended is filled again."""
        if self._stopping:
            return
        policy, now = self._policy, time.monotonic()
        settled = now - post.started >= policy.settled
        post.failures = 1 if settled else post.failures + 1
        pause = min(policy.first_pause * 2 ** (post.failures - 1), policy.longest_pause)
        post.due = now + pause
        event = {"process": post.role.name, "exit_code": exit_code, "failures": post.failures}
        _log.error("process.ended", **event, restart_in=round(pause, 2))
        if post.role.essential and post.failures >= policy.most_failures:
            _log.error("process.given_up", **event, hint="the reason stands in the lines above")
            self._status = 1
            self._begin_stop()

    # -- ending --------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        """The first signal asks everybody to finish, the second ends them."""
        if self._stopping:
            self._send(signal.SIGKILL, self._posts)
            return
        _log.info("gateway.stopping", signal=signal.Signals(number).name)
        self._begin_stop()

    def _begin_stop(self) -> None:
        self._stopping = True
        self._tell_stopping()
        self._deadline = time.monotonic() + self._policy.grace
        self._send(signal.SIGTERM, [post for post in self._posts if not post.role.last])

    def _press(self) -> None:
        """Go on with the end: tell the last ones, and end those who take too long."""
        if not self._stopping:
            return
        first = [post for post in self._posts if post.pid is not None and not post.role.last]
        late = time.monotonic() >= self._deadline
        if first and late:
            _log.warning("process.overdue", processes=[post.role.name for post in first])
            self._send(signal.SIGKILL, first)
        elif not first and not self._told:
            self._told = True
            self._deadline = time.monotonic() + self._policy.grace
            self._send(signal.SIGTERM, self._posts)
        elif not first and late:
            self._send(signal.SIGKILL, self._posts)

    def _send(self, number: int, posts: Sequence[_Post]) -> None:
        for post in posts:
            if post.pid is not None:
                os.kill(post.pid, number)

    def _patience(self) -> float:
        """Return how long nothing has to be done, in seconds."""
        now = time.monotonic()
        if self._stopping:
            return max(self._deadline - now, 0.05)
        waiting = [post.due for post in self._posts if post.pid is None]
        return max(min(waiting, default=now + _FOREVER) - now, 0.0)


@contextmanager
def caught_signals() -> Iterator[socket.socket]:
    """Have signals written, as bytes, to the socket this yields.

    Entered before anybody is told that the gateway listens: a signal that comes before the
    supervisor runs waits for it.
    """
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in _CAUGHT}
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old)
        reader.close()
        writer.close()


def _signals(wake: socket.socket, patience: float) -> bytes:
    """Wait at most `patience` seconds for signals; return their numbers."""
    ready, _, _ = select.select([wake], [], [], patience)
    return wake.recv(256) if ready else b""
