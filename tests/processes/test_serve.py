"""`meterway serve` as it really runs: processes that die, and an end in order."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.factories.gateways import Gateway
from tests.fakes.http_server import Answer, Client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
DEADLINE = 20.0


@dataclass
class Running:
    """A `meterway serve` of this test."""

    process: asyncio.subprocess.Process
    port: int
    key: str
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def refusing(self) -> None:
        """Wait until nobody listens any more."""
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(ConnectionRefusedError):
                await self._connect_for_ever()

    async def _connect_for_ever(self) -> None:
        while True:
            (await self.connect()).leave()
            await asyncio.sleep(0.01)

    async def ask(self, head: str, body: bytes = b"") -> Answer:
        """Send one request with the key on a connection of its own."""
        client = await self.connect()
        lines = f"{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
        if not head.startswith("GET /metrics"):
            lines += f"x-api-key: {self.key}\r\n"
        try:
            return await client.ask(lines.encode() + b"connection: close\r\n\r\n" + body)
        finally:
            client.leave()

    def child(self, name: str) -> int | None:
        """Return the process of a role, None where nobody fills it."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                title = (folder / "cmdline").read_bytes().rstrip(b"\0")
            except OSError:
                continue
            if int(parent) == self.process.pid and title == f"meterway {name}".encode():
                return int(folder.name)
        return None

    async def child_other_than(self, name: str, old: int | None) -> int:
        async with asyncio.timeout(DEADLINE):
            while (found := self.child(name)) in {None, old}:  # noqa: ASYNC110 - /proc has no events
                await asyncio.sleep(0.01)
        assert found is not None
        return found


@asynccontextmanager
async def serve(installed: Gateway, data: Path, **environ: str) -> AsyncIterator[Running]:
    """Start a copy of `installed` on a free port; kill whatever is left at the end."""
    shutil.copytree(installed.data, data, dirs_exist_ok=True)
    command = [sys.executable, "-m", "meterway", "serve", "--data", str(data), "--port", "0"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command,
        "--workers=1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=kept | {"METERWAY_DETECT_ENGINES": "false"} | environ,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(DEADLINE):
            while "documentation" not in said:
                line = await process.stdout.readline()
                assert line, f"it ended: {said}"
                said += line.decode()
        port = re.search(r"base URL http://127\.0\.0\.1:([1-9]\d*)/v1\n", said)
        assert port
        running = Running(process, int(port[1]), installed.key)
        yield running
        for client in running.clients:
            client.leave()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def end(running: Running, number: int = signal.SIGTERM) -> int:
    running.process.send_signal(number)
    async with asyncio.timeout(DEADLINE):
        return await running.process.wait()


def message(model: str, *, stream: bool = False) -> bytes:
    return (
        b'{"model":"%s","max_tokens":50,"stream":%s,"messages":[{"role":"user","content":"hi"}]}'
        % (model.encode(), b"true" if stream else b"false")
    )


COUNTED = re.compile(rb'meterway_calls_total\{.*outcome="completed".*\} 1\.0')


async def counted(running: Running) -> None:
    """Wait until the first call is among the figures, which are told once in a while."""
    async with asyncio.timeout(DEADLINE):
        while not COUNTED.search((await running.ask("GET /metrics")).body):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_a_killed_worker_is_replaced_and_the_figures_stay(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        first = await running.ask("POST /v1/messages", message("sandbox/echo"))
        await counted(running)
        old = await running.child_other_than("worker-0", None)

        os.kill(old, signal.SIGKILL)
        new = await running.child_other_than("worker-0", old)
        figures = await running.ask("GET /metrics")
        again = await running.ask("POST /v1/messages", message("sandbox/echo"))

        assert new != old
        assert (first.status, again.status) == (200, 200)
        assert COUNTED.search(figures.body)
        assert await end(running) == 0


@pytest.mark.faults
async def test_the_counter_is_replaced_when_killed(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        old = await running.child_other_than("counter", None)

        os.kill(old, signal.SIGKILL)

        assert await running.child_other_than("counter", old) != old


async def test_children_end_with_a_killed_parent_and_free_the_port(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        children = [await running.child_other_than(name, None) for name in ("worker-0", "counter")]
        await running.ask("GET /health")

        running.process.kill()
        await running.process.wait()

        async with asyncio.timeout(DEADLINE):
            for child in children:
                while _lives(child):  # noqa: ASYNC110 - somebody else's children have no events
                    await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await running.connect()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_sigterm_lets_a_stream_finish_and_takes_nothing_new(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        client = await running.connect()
        body = message("sandbox/slow", stream=True)
        head = f"POST /v1/messages HTTP/1.1\r\nx-api-key: {running.key}\r\n"
        await client.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await asyncio.wait_for(client.reader.readuntil(b"content_block_delta"), DEADLINE)

        running.process.send_signal(signal.SIGTERM)
        rest = await asyncio.wait_for(client.reader.read(), DEADLINE)
        status = await asyncio.wait_for(running.process.wait(), DEADLINE)

        assert b"message_stop" in rest
        assert rest.endswith(b"0\r\n\r\n")
        assert status == 0
        with pytest.raises(ConnectionRefusedError):
            await running.connect()


@pytest.mark.faults
async def test_a_second_signal_ends_at_once(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        client = await running.connect()
        body = message("sandbox/hang")
        head = f"POST /v1/messages HTTP/1.1\r\nx-api-key: {running.key}\r\n"
        await client.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await running.ask("GET /health")

        running.process.send_signal(signal.SIGTERM)
        await running.refusing()
        status = await end(running, signal.SIGINT)
        client.leave()

        assert status == 0


@pytest.mark.faults
async def test_a_worker_that_cannot_start_ends_everything_with_a_failure(installed, tmp_path):
    async with serve(installed, tmp_path) as running:
        (tmp_path / "secret").unlink()
        old = await running.child_other_than("worker-0", None)
        os.kill(old, signal.SIGKILL)

        status = await asyncio.wait_for(running.process.wait(), DEADLINE)

        assert status == 1


async def test_a_taken_port_is_said_in_one_sentence(installed, tmp_path):
    data = shutil.copytree(installed.data, tmp_path / "data")
    command = [sys.executable, "-m", "meterway", "serve", "--data", str(data)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        second = await asyncio.create_subprocess_exec(
            *command,
            f"--port={port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), DEADLINE)

    assert second.returncode == 1
    assert f"Port {port} is in use".encode() in said
    assert b"Traceback" not in said


async def test_a_title_never_outgrows_its_place():
    code = "from meterway.processes.child import set_title; set_title('x' * 10_000)"

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)

    assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
