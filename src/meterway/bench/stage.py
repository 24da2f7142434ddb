"""Everything a measurement needs running, on its cores: upstreams, proxy, gateway."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from meterway.bench import nginx, processes
from meterway.bench.certificate import Certificate, make_certificate
from meterway.bench.client import Address, Ask, ask, once
from meterway.bench.errors import BenchError
from meterway.bench.gateway import Gateway
from meterway.bench.payloads import request_body
from meterway.bench.processes import Cores
from meterway.bench.types import Dialect, Say, Scenario, Size, Subject
from meterway.bench.upstream import PACES
from meterway.bench.wrk import Wrk, find_wrk

_PROVIDERS = {Dialect.OPENAI: "openai-compatible", Dialect.ANTHROPIC: "anthropic-compatible"}
_BASE_PATHS = {Dialect.OPENAI: "/v1", Dialect.ANTHROPIC: ""}
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Backends:
    """The addresses of the bare upstreams: whole replies and streams, plain and TLS."""

    whole: Address
    whole_tls: Address
    stream: Address
    stream_tls: Address

    def of(self, scenario: Scenario) -> tuple[str, Address]:
        """Return the upstream of a scenario and its name, which is also its prefix at the proxy."""
        if scenario.stream:
            return ("stream_tls", self.stream_tls) if scenario.tls else ("stream", self.stream)
        return ("whole_tls", self.whole_tls) if scenario.tls else ("whole", self.whole)


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs during a benchmark, and how each subject is asked.

    Args:
        folder: For logs and generated files; gone afterwards.
        cores: Which core is measured.
        backends: The bare upstreams.
        upstream_pids: The processes behind them, whole replies first.
        proxy: The nginx proxy's address and process, where nginx is installed.
        gateway: The gateway, not yet started.
        wrk: Where it is installed.
        say: Is told what is being measured at the moment.
    """

    folder: Path
    cores: Cores
    backends: Backends
    upstream_pids: tuple[int, int]
    proxy: tuple[Address, int] | None
    gateway: Gateway
    wrk: Wrk | None
    say: Say

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Return who can be measured here."""
        return tuple(Subject) if self.proxy else (Subject.DIRECT, Subject.OURS)

    def address(self, subject: Subject, scenario: Scenario) -> Address:
        """Return where a subject is asked in a scenario."""
        if subject is Subject.OURS:
            return self.gateway.address
        name, upstream = self.backends.of(scenario)
        large = "/large" if scenario.reply is Size.LARGE else ""
        if subject is Subject.DIRECT:
            return Address(upstream.port, prefix=large, tls=upstream.tls)
        if self.proxy is None:
            raise BenchError("nginx is not installed")
        return Address(self.proxy[0].port, prefix=f"/{name}{large}")

    def question(self, subject: Subject, scenario: Scenario, *, pace: str = "paced") -> Ask:
        """Return the request of a scenario, the same bytes of body for every subject."""
        model = model_of(scenario) + (f"-{pace}" if scenario.stream else "")
        body = request_body(scenario.client, model, scenario.request, stream=scenario.stream)
        tokens = PACES[pace.encode()].chunks if scenario.stream else 0
        return ask(self.address(subject, scenario), scenario.client, body, tokens=tokens)

    async def open_gateway(self, scenarios: Iterable[Scenario]) -> None:
        """Create the gateway's data folder with a channel for each upstream the scenarios need."""
        await self.gateway.init()
        for scenario in {model_of(scenario): scenario for scenario in scenarios}.values():
            _, upstream = self.backends.of(scenario)
            large = "/large" if scenario.reply is Size.LARGE else ""
            model = model_of(scenario)
            models = [f"{model}-{pace.decode()}" for pace in PACES] if scenario.stream else [model]
            url = upstream.origin + large + _BASE_PATHS[scenario.upstream]
            await self.gateway.add_channel(_PROVIDERS[scenario.upstream], model, url, models)


def model_of(scenario: Scenario) -> str:
    """Return the model, and the gateway's channel, that lead to a scenario's upstream."""
    parts = ["bench", scenario.upstream.value, "stream" if scenario.stream else "whole"]
    parts += ["tls"] * scenario.tls + ["large"] * (scenario.reply is Size.LARGE)
    return "-".join(parts)


@contextlib.asynccontextmanager
async def set_up(
    folder: Path, command: tuple[str, ...] = (), say: Say = lambda _: None
) -> AsyncIterator[Stage]:
    """Start upstreams and proxy, and end them, and the gateway, with the block.

    Args:
        folder: Where generated files go.
        command: What runs the gateway; the installed `meterway` when empty.
        say: Is told what is being measured at the moment.

    Raises:
        BenchError: One of them did not start.
    """
    async with contextlib.AsyncExitStack() as stack:
        crew = _Crew(stack, folder, processes.choose_cores(), make_certificate(folder))
        program = nginx.find_nginx()
        streams = await crew.own_upstream()
        wholes = streams if program is None else await crew.nginx_upstream(program)
        backends = Backends(wholes.plain, wholes.tls, streams.plain, streams.tls)
        proxy = None if program is None else await crew.nginx_proxy(program, backends)
        cores, authority = crew.cores, crew.certificate.authority
        gateway = Gateway(
            folder, free_port(), cores.measured, cores.load, authority, command=command
        )
        stack.push_async_callback(gateway.stop)
        wrk = find_wrk(folder, cores.load)
        pids = (wholes.pid, streams.pid)
        yield Stage(folder, cores, backends, pids, proxy, gateway, wrk, say)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class _Upstream:
    plain: Address
    tls: Address
    pid: int


@dataclass(frozen=True, slots=True)
class _Crew:
    """Starts what surrounds the gateway; whatever it started ends with `stack`."""

    stack: contextlib.AsyncExitStack
    folder: Path
    cores: Cores
    certificate: Certificate

    async def own_upstream(self) -> _Upstream:
        """Start the upstream of our own and read its ports."""
        log = self.folder / "upstream.log"
        command = [sys.executable, "-m", "meterway.bench.upstream", str(self.folder)]
        process = await processes.start(command, self.cores.load, log=log, answers=True)
        self.stack.push_async_callback(processes.stop, process)
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line:
            raise BenchError(f"the upstream did not start: {log.read_text()[-500:]}")
        plain, tls = (int(word) for word in line.split())
        return _Upstream(Address(plain), self._tls(tls), process.pid)

    async def nginx_upstream(self, program: str) -> _Upstream:
        """Start nginx as the upstream for whole replies."""
        plain, tls = Address(free_port()), self._tls(free_port())
        config = nginx.write_upstream(
            self.folder, plain=plain.port, tls=tls.port, certificate=self.certificate
        )
        pid = await self._nginx(program, config, self.cores.load, plain)
        return _Upstream(plain, tls, pid)

    async def nginx_proxy(self, program: str, backends: Backends) -> tuple[Address, int]:
        """Start nginx as the proxy, on the measured core."""
        table = {
            "whole": nginx.Backend(backends.whole.port),
            "whole_tls": nginx.Backend(backends.whole_tls.port, tls=True),
            "stream": nginx.Backend(backends.stream.port, stream=True),
            "stream_tls": nginx.Backend(backends.stream_tls.port, tls=True, stream=True),
        }
        port = free_port()
        config = nginx.write_proxy(
            self.folder, port=port, backends=table, certificate=self.certificate
        )
        probe = Address(port, prefix="/whole")
        return Address(port), await self._nginx(program, config, self.cores.measured, probe)

    async def _nginx(
        self, program: str, config: Path, cores: frozenset[int], probe: Address
    ) -> int:
        """Start one nginx process and wait until it answers."""
        log = config.with_suffix(".out")
        process = await processes.start(nginx.command(program, config), cores, log=log)
        self.stack.push_async_callback(processes.stop, process)
        body = request_body(Dialect.OPENAI, "bench", Size.SMALL)
        question = ask(probe, Dialect.OPENAI, body)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while loop.time() < deadline and process.returncode is None:
            if (await once(probe, question, deadline=_START_SECONDS)).requests:
                return process.pid
            await asyncio.sleep(0.01)
        raise BenchError(f"nginx did not start: {log.read_text()[-500:]}")

    def _tls(self, port: int) -> Address:
        return Address(port, tls=self.certificate.client_context())
