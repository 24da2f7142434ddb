"""The counter process and its client, over a real socket."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import pytest

from meterway.tokens.errors import CounterDownError
from meterway.tokens.process import CounterServer
from meterway.tokens.remote import RemoteCounting
from meterway.tokens.service import TokenCounter
from meterway.tokens.types import Count, Tokenizer, TokenSource

DEADLINE = 20.0
SERVE = (
    "import pathlib, sys; from meterway.tokens.process import serve_counter;"
    "serve_counter(pathlib.Path(sys.argv[1]))"
)


@contextlib.asynccontextmanager
async def counter_process(path):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, str(path))
    try:
        await answers(path)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask(path):
    remote = RemoteCounting(path)
    try:
        return await remote.count(Tokenizer.CLAUDE_3, ["Say test"])
    finally:
        await remote.close()


async def answers(path):
    """Wait until somebody counts at the socket."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(CounterDownError):
                await ask(path)
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def counter_here(path):
    server = CounterServer()
    server.start()
    listener = await asyncio.start_unix_server(server.talk, path)
    remote = RemoteCounting(path)
    try:
        yield remote
    finally:
        await remote.close()
        listener.close()
        await server.close()


async def test_the_process_counts_and_ends_at_sigterm_leaving_no_socket(tmp_path):
    path = tmp_path / "counter"
    async with counter_process(path) as process:
        mode = path.stat().st_mode & 0o777
        process.send_signal(signal.SIGTERM)

        code = await asyncio.wait_for(process.wait(), DEADLINE)

    assert (mode, code, path.exists()) == (0o600, 0, False)


async def test_death_gives_estimates_and_a_new_process_exact_counts_again(tmp_path):
    path = tmp_path / "counter"
    counter = TokenCounter(RemoteCounting(path))
    async with counter_process(path) as process:
        alive = await counter.count_text("claude-3-opus", "Say test")
        process.kill()
        await process.wait()
    dead = await counter.count_text("claude-3-opus", "Say another test")
    async with counter_process(path):
        again = await counter.count_text("claude-3-opus", "Say another test")

    assert alive == Count(2, TokenSource.EXACT)
    assert dead == Count(5, TokenSource.ESTIMATE)
    assert again == Count(3, TokenSource.EXACT)
    await counter.close()


async def test_the_process_dies_with_its_parent(tmp_path):
    path = tmp_path / "counter"
    program = (
        "import subprocess, sys;"
        "p = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]);"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        SERVE,
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await answers(path)

    parent.kill()
    await parent.communicate()

    async with asyncio.timeout(DEADLINE):
        while path.exists():  # noqa: ASYNC110  another process removes it
            await asyncio.sleep(0.02)
    assert child != os.getpid()


async def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "counter"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    async with counter_process(path):
        counts = await ask(path)

    assert counts == [2]


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "counter"
    path.write_text("mine")

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        str(path),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()

    assert process.returncode != 0
    assert b"is no socket" in said
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", [Tokenizer.CLAUDE_3, Tokenizer.O200K])
async def test_a_short_text_does_not_wait_for_a_long_one(tmp_path, name):
    async with counter_here(tmp_path / "counter") as remote:
        await remote.count(name, ["warm"])
        long = asyncio.create_task(remote.count(name, ["The quick brown fox jumps. " * 40_000]))
        await asyncio.sleep(0)

        short = [await remote.count(name, ["Say test"]) for _ in range(3)]

        assert not long.done()
        assert short == [[2]] * 3
        await long


async def test_garbage_on_the_socket_hurts_nobody_else(tmp_path):
    path = tmp_path / "counter"
    async with counter_here(path) as remote:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"\xff\xff\xff\xff nonsense")
        end = await reader.read()

        counts = await remote.count(Tokenizer.CLAUDE_3, ["Say test"])

        assert (end, counts) == (b"", [2])
        writer.close()


async def test_a_silent_counter_counts_as_down(tmp_path):
    async def swallow(reader, writer):
        await reader.read()
        writer.close()

    path = tmp_path / "counter"
    listener = await asyncio.start_unix_server(swallow, path)
    remote = RemoteCounting(path, patience=0.05)

    with pytest.raises(CounterDownError):
        await remote.count(Tokenizer.CLAUDE_3, ["Say test"])

    await remote.close()
    listener.close()
