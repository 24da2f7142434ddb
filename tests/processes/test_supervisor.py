"""The parent hears every signal that is meant for it, and none that is not."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

DEADLINE = 30


def _run(program):
    """Run a program in a process of its own: pytest's has threads, and signals of its own."""
    prelude = """
        import os, signal, sys
        from meterway.kit import log
        from meterway.processes.supervisor import Policy, Role, Supervisor, caught_signals

        log.configure("info", "json", facts={})

        def supervise(*roles, ended=lambda name: None, before=lambda: None):
            with caught_signals() as wake:
                before()
                tell = lambda: print("stopping", flush=True)
                return Supervisor(roles, Policy(), wake, ended=ended, stopping=tell).run()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout.split(), done.stderr


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_that_comes_before_the_first_child_is_heard(number):
    status, said, errors = _run(f"""
        role = Role(name="idle", work=signal.pause)
        sys.exit(supervise(role, before=lambda: os.kill(os.getpid(), signal.{number})))
    """)

    assert (status, said) == (0, ["stopping"]), errors


def test_a_signal_for_a_child_just_forked_ends_it_and_is_not_taken_for_the_parents():
    status, said, errors = _run("""
        forks = []

        def interrupt_the_first():
            if len(forks) == 0:
                os.kill(os.getpid(), signal.SIGTERM)

        os.register_at_fork(
            after_in_child=interrupt_the_first, after_in_parent=lambda: forks.append(1)
        )

        def work():
            print("works", flush=True)
            os.kill(os.getppid(), signal.SIGTERM)
            signal.pause()

        role = Role(name="a", work=work)
        sys.exit(supervise(role, ended=lambda name: print("ended", flush=True)))
    """)

    assert (status, said) == (0, ["ended", "works", "stopping", "ended"]), errors


def test_a_child_works_with_no_signal_held_back():
    status, said, errors = _run("""
        def work():
            print(len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), flush=True)
            os.kill(os.getppid(), signal.SIGTERM)
            signal.pause()

        sys.exit(supervise(Role(name="a", work=work)))
    """)

    assert (status, said) == (0, ["0", "stopping"]), errors


@pytest.mark.skipif(sys.platform != "linux", reason="a pipe's room differs elsewhere")
def test_a_gateway_told_to_end_while_it_says_that_it_listens_ends_in_order(installed, tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    room = 0
    while room % 4096 == 0:  # fill the pipe: the announcement then waits for its reader
        try:
            room += os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "meterway", "serve", "--workers=1", f"--port={port}"]
    data = shutil.copytree(installed.data, tmp_path / "data")
    environ = {"METERWAY_DATA": str(data), "METERWAY_DETECT_ENGINES": "false"}

    environ["PATH"] = os.environ["PATH"]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environ) as gateway:
        os.close(writer)
        _connected(port, gateway)
        gateway.send_signal(signal.SIGTERM)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        assert gateway.stderr is not None
        errors = gateway.stderr.read()
        status = gateway.wait(timeout=DEADLINE)

    assert status == 0, errors
    assert said.lstrip(b"x").startswith(b"Meterway")


def _connected(port, gateway):
    while gateway.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        except ConnectionRefusedError:
            continue
        return
