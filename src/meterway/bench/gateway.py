"""The gateway as the benchmark sees it: a command line, a data folder, processes, a port."""

import asyncio
import os
import re
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from meterway.bench import processes
from meterway.bench.client import Address, Ask, once
from meterway.bench.errors import BenchError

_READY_SECONDS = 20.0
_COMMAND_SECONDS = 60.0
_TITLES = re.compile(r"\b(worker|counter|backstage)\b")
_FOREIGN = frozenset({"OLLAMA_HOST", "DATABASE_URL", "REDIS_URL", "PORT"})
_FOREIGN_ENDS = ("_API_KEY", "_PROXY", "_proxy")
UNBILLED = {"METERWAY_BILLING": "false"}
"""The settings of a gateway that only relays."""


@dataclass(frozen=True, slots=True)
class Family:
    """The processes of a running gateway: those on the path, and the others by name."""

    workers: tuple[int, ...]
    aside: Mapping[str, int]


@dataclass(slots=True)
class Gateway:
    """A gateway of our own, in its own data folder, on one core with one worker.

    Args:
        folder: Holds the data folder and the logs.
        port: Where it will listen, on 127.0.0.1.
        cores: The cores it may use.
        load_cores: The cores its command line may use meanwhile.
        authority: The only certificate authority it trusts.
        key: The API key that `init` printed.
        command: What runs it; the installed `meterway` unless said otherwise.
        settings: Environment variables it is given.
    """

    folder: Path
    port: int
    cores: frozenset[int]
    load_cores: frozenset[int]
    authority: Path
    key: str = ""
    command: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: UNBILLED)
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def address(self) -> Address:
        """Where it listens, and with which key."""
        return Address(self.port, key=self.key)

    @property
    def log(self) -> Path:
        """What it and its commands said."""
        return self.folder / "gateway.log"

    @property
    def database(self) -> Path:
        """The SQLite file in its data folder."""
        return self._data / "meterway.db"

    async def init(self) -> None:
        """Create the data folder and learn the first key.

        Raises:
            BenchError: The command failed or printed no key.
        """
        self.key = await self._key_from("init")

    async def add_channel(self, provider: str, name: str, base_url: str, models: list[str]) -> None:
        """Lead `models` to an upstream.

        Raises:
            BenchError: The command failed.
        """
        where = ("--provider", provider, "--name", name, "--base-url", base_url)
        what = ("--api-key", "sk-upstream", "--models", ",".join(models))
        await self._run("channel", "add", *where, *what)

    async def set_price(self, model: str, *, read: str, written: str) -> None:
        """Set what a model costs, in dollars a million tokens.

        Raises:
            BenchError: The command failed.
        """
        await self._run("price", "set", model, "--input", read, "--output", written)

    async def add_customer(self, email: str, dollars: str) -> str:
        """Make a prepaid user with so much money, and return a key of it.

        Raises:
            BenchError: A command failed or printed no key.
        """
        await self._run("user", "create", "--email", email)
        await self._run("user", "grant", email, dollars)
        return await self._key_from("key", "create", "--user", email)

    async def start(self, probe: Ask) -> float:
        """Start serving, and return the seconds from there to the first 200 that `probe` got.

        Raises:
            BenchError: It ended, or gave no 200 in time.
        """
        began = time.perf_counter()
        serve = (
            "serve",
            "--data",
            str(self._data),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        )
        self._process = await processes.start(
            [*self._command(), *serve, "--workers", "1"],
            self.cores,
            log=self.log,
            environment=self._environment(),
        )
        complaint = ""
        while (
            waited := time.perf_counter() - began
        ) < _READY_SECONDS and self._process.returncode is None:
            answer = await once(self.address, probe, deadline=_READY_SECONDS - waited)
            if answer.requests:
                return time.perf_counter() - began
            if not complaint.startswith("status"):  # the first refusal says most
                complaint = answer.complaint
            await asyncio.sleep(0.005)
        raise BenchError(f"the gateway gave no 200 ({complaint}); its log ends: {self._log_end()}")

    async def stop(self) -> None:
        """End it and everything it started."""
        if self._process is not None:
            await processes.stop(self._process)
            self._process = None

    def family(self) -> Family:
        """Return its processes as they are now, known by the titles they give themselves.

        Raises:
            BenchError: It does not run, or has no worker.
        """
        if self._process is None or self._process.returncode is not None:
            raise BenchError(f"the gateway has ended; its log ends: {self._log_end()}")
        parent = self._process.pid
        aside: dict[str, int] = {"parent": parent}
        workers: list[int] = []
        for pid in processes.descendants(parent).keys() - {parent}:
            title = _TITLES.search(processes.command_line(pid))
            if title is None:
                aside[f"process {pid}"] = pid
            elif title.group() == "worker":
                workers.append(pid)
            else:
                aside[title.group()] = pid
        if not workers:
            raise BenchError(f"the gateway has no worker; its log ends: {self._log_end()}")
        return Family(tuple(workers), aside)

    async def _key_from(self, *arguments: str) -> str:
        output = await self._run(*arguments)
        try:
            return str(msgspec.json.decode(output)["key"])
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            name = " ".join(arguments[:2])
            raise BenchError(f"`meterway {name}` printed no key: {output[:200]!r}") from error

    async def _run(self, *arguments: str) -> bytes:
        process = await processes.start(
            [*self._command(), *arguments, "--data", str(self._data), "--json"],
            self.load_cores,
            log=self.log,
            environment=self._environment(),
            answers=True,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
        except TimeoutError as error:
            raise BenchError(
                f"`meterway {arguments[0]}` did not end within {_COMMAND_SECONDS:.0f} s"
            ) from error
        finally:
            await processes.stop(process)
        if process.returncode:
            name = " ".join(arguments[:2])
            raise BenchError(f"`meterway {name}` failed ({process.returncode}): {self._log_end()}")
        return output

    def _command(self) -> tuple[str, ...]:
        return self.command or (str(Path(sysconfig.get_path("scripts")) / "meterway"),)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _environment(self) -> dict[str, str]:
        """Return the environment without what would add channels, proxies or other storage."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not (
                name in _FOREIGN or name.startswith("METERWAY_") or name.endswith(_FOREIGN_ENDS)
            )
        }
        ours = {"SSL_CERT_FILE": str(self.authority), "METERWAY_DETECT_ENGINES": "false"}
        return {**kept, **ours, **self.settings}

    def _log_end(self) -> str:
        return (
            self.log.read_text(errors="replace")[-800:].strip() if self.log.exists() else "(empty)"
        )
